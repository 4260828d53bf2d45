package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// maxConfig bounds a settings file: it has a line per flag.
const maxConfig = 1 << 20

// settle gives every flag that was not on the command line its value from the environment, else from the settings file. An empty
// variable is none: that is what a container file passes on for what it does not set.
func settle(cmd *cobra.Command) error {
	fromFile := map[string]setting{}
	path := value(cmd.Flags().Lookup("config"))
	if path != "" {
		var err error
		if fromFile, err = readSettings(path); err != nil {
			return err
		}
	}
	var failed error
	fail := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		s, inFile := fromFile[f.Name]
		delete(fromFile, f.Name)
		if f.Changed || f.Name == "config" || f.Name == "help" {
			return
		}
		if v := os.Getenv(envName(f.Name)); v != "" && !isServiceLink(f.Name, v) {
			if err := f.Value.Set(v); err != nil {
				fail(fmt.Errorf("%s=%q: %w", envName(f.Name), v, wanted(f, err)))
			}
			f.Changed = true
			return
		}
		if inFile {
			for _, v := range s.values {
				if err := f.Value.Set(v); err != nil {
					fail(fmt.Errorf("%s:%d: %s: %q: %w", path, s.line, f.Name, v, wanted(f, err)))
				}
			}
			f.Changed = true
		}
	})
	// One file may serve several commands, so what another command knows is no mistake.
	for name, s := range fromFile {
		if !knownAnywhere(cmd.Root(), name) {
			fail(fmt.Errorf("%s:%d: unknown setting %q (stint serve --help lists them)", path, s.line, name))
		}
	}
	return failed
}

// value is a flag's value, or that of its environment variable where it is not on the command line.
func value(f *pflag.Flag) string {
	if v := os.Getenv(envName(f.Name)); v != "" && !f.Changed {
		return v
	}
	return f.Value.String()
}

// isServiceLink reports whether a variable is none of ours: for a Service called stint, Kubernetes gives each container of
// its namespace STINT_PORT=tcp://10.0.0.1:7070.
func isServiceLink(flag, v string) bool {
	return flag == "port" && (strings.HasPrefix(v, "tcp://") || strings.HasPrefix(v, "udp://"))
}

// wanted says what a flag takes, where strconv would speak of its functions.
func wanted(f *pflag.Flag, err error) error {
	switch f.Value.Type() {
	case "bool":
		return errors.New("want true or false")
	case "int", "int64":
		return errors.New("want a whole number")
	case "float64":
		return errors.New("want a number, such as 1.5")
	case "duration":
		return errors.New("want a duration, such as 10s")
	}
	return err
}

func envName(flag string) string {
	return "STINT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func knownAnywhere(cmd *cobra.Command, name string) bool {
	if cmd.Flags().Lookup(name) != nil {
		return true
	}
	for _, c := range cmd.Commands() {
		if knownAnywhere(c, name) {
			return true
		}
	}
	return false
}

// A setting is one key of the settings file.
type setting struct {
	line   int
	values []string
}

func readSettings(path string) (map[string]setting, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	if info.Size() > maxConfig {
		return nil, fmt.Errorf("read settings: %s has %d bytes; the most is %d", path, info.Size(), maxConfig)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return nil, fmt.Errorf("read settings: %s: %w", path, err)
	}
	out := map[string]setting{}
	if len(doc.Content) == 0 {
		return out, nil
	}
	m := doc.Content[0]
	if m.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("read settings: %s:%d: want `name: value` lines", path, m.Line)
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, v := m.Content[i], m.Content[i+1]
		s := setting{line: k.Line}
		switch v.Kind {
		case yaml.ScalarNode:
			s.values = []string{v.Value}
		case yaml.SequenceNode:
			for _, e := range v.Content {
				if e.Kind != yaml.ScalarNode {
					return nil, fmt.Errorf("read settings: %s:%d: %s: want a list of plain values", path, e.Line, k.Value)
				}
				s.values = append(s.values, e.Value)
			}
		default:
			return nil, fmt.Errorf("read settings: %s:%d: %s: want a value or a list of values", path, v.Line, k.Value)
		}
		if _, twice := out[k.Value]; twice {
			return nil, fmt.Errorf("read settings: %s:%d: %s is here twice", path, k.Line, k.Value)
		}
		out[k.Value] = s
	}
	return out, nil
}
