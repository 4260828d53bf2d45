package policy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Several files at once: `--policy` can be given several times.

// A File is the name and the content of a policy file.
type File struct {
	Name string
	Src  []byte
}

// ParseAll reads several files as ParseAt does, and sees to it that no two policies have one name: it is part of every
// bucket's identity, so they would share buckets. The problems come in the order of the files. If any is an error the
// policies are nil.
func ParseAll(now time.Time, files []File) ([]*Policy, Problems) {
	var all Problems
	var policies []*Policy
	first := make(map[string]*Policy)
	for _, f := range files {
		d, ps := parse(now, f.Name, f.Src)
		if p := d.p; d.nameAt != nil {
			if before := first[p.Name]; before != nil {
				d.errorf(d.nameAt, "", "policy %s is already in %s:%d", quote(p.Name), before.File, before.Line)
				ps = d.finish()
			} else {
				first[p.Name] = p
			}
			policies = append(policies, p)
		}
		all = append(all, ps...)
	}
	if all.Err() {
		return nil, all
	}
	return policies, all
}

// Load reads the policy files at paths, as ParseAll does. A file that cannot be read is one of the problems.
func Load(now time.Time, paths ...string) ([]*Policy, Problems) {
	var files []File
	var unread Problems
	for _, path := range paths {
		src, err := readFile(path)
		if err != nil {
			unread = append(unread, Problem{File: path, Message: fmt.Sprintf("cannot read the policy: %v", cause(err)), Hint: "is the path right?"})
			continue
		}
		files = append(files, File{path, src})
	}
	policies, ps := ParseAll(now, files)
	if ps = append(unread, ps...); ps.Err() {
		return nil, ps
	}
	return policies, ps
}

// readFile reads at most one byte more than MaxFile: what is larger is refused by its size, whatever it claims to be.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxFile+1))
}

// cause is an error without the path, which stands in front of the message already.
func cause(err error) error {
	if e := new(fs.PathError); errors.As(err, &e) {
		return e.Err
	}
	return err
}
