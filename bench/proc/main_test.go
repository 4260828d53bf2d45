package proc

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The children of these tests are this test binary, which does as its first argument says. So nothing depends on what
// programs a machine has, nor on cmd/stint.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "sit": // until SIGTERM, as any program
			fmt.Println("here")
			select {}
		case "deaf": // to SIGTERM
			signal.Ignore(syscall.SIGTERM)
			fmt.Println("here")
			select {}
		case "clean": // exits 0 on SIGTERM
			c := make(chan os.Signal, 1)
			signal.Notify(c, syscall.SIGTERM)
			fmt.Println("here")
			<-c
			os.Exit(0)
		case "fail":
			fmt.Fprintln(os.Stderr, "first line\ncannot go on")
			os.Exit(3)
		case "burn": // processor time, then sit
			for start := time.Now(); time.Since(start) < 200*time.Millisecond; {
			}
			fmt.Println("here")
			select {}
		case "parent":
			beParent()
		case "serve":
			beStint(os.Args[2:])
		}
	}
	goleak.VerifyTestMain(m)
}

// beParent is a harness that starts a child, says its pid, and waits to be killed.
func beParent() {
	g, err := NewGroup()
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(g.Dir + "\n")
	p, err := g.Start(Spec{Name: "child", Path: os.Args[0], Args: []string{"sit"}})
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(strconv.Itoa(p.PID()) + "\n")
	select {}
}

// beStint serves the two admin pages that Agree asks for, as a node whose members are itself and its seeds. The
// environment says what is wrong with it.
func beStint(args []string) {
	flags := map[string]string{}
	for i := 0; i+1 < len(args); i++ {
		if strings.HasPrefix(args[i], "--") && !strings.HasPrefix(args[i+1], "--") {
			flags[args[i]] = args[i+1]
		}
	}
	port, _ := strconv.Atoi(flags["--port"])
	name := flags["--name"]
	wrong := os.Getenv("WRONG_" + name)
	if wrong == "exit" {
		fmt.Println("cannot bind")
		os.Exit(1)
	}
	fmt.Println(strings.Join(args, " "))
	start := time.Now()
	http.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if wrong == "slow" && time.Since(start) < 300*time.Millisecond {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/v1/members", func(w http.ResponseWriter, _ *http.Request) {
		type member struct {
			Name  string `json:"name"`
			State string `json:"state"`
		}
		members := []member{{name, "alive"}, {"gone", "left"}}
		for i := range strings.Split(flags["--join"], ",") {
			members = append(members, member{"seed" + strconv.Itoa(i), "alive"})
		}
		ring := "r1"
		if wrong == "ring" && time.Since(start) < 300*time.Millisecond {
			ring = "r2"
		}
		json.NewEncoder(w).Encode(map[string]any{"ring": ring, "members": members})
	})
	panic(http.ListenAndServe(loopback(port+3), nil))
}

// here waits until the child has written its first line.
func here(t *testing.T, p *Process) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		if f, err := os.Open(p.Log); err == nil {
			ok := bufio.NewScanner(f).Scan()
			f.Close()
			if ok {
				return
			}
		}
		<-time.After(5 * time.Millisecond) // another process: there is no signal to wait for
	}
	t.Fatalf("%s has said nothing", p.Name)
}
