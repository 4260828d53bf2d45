package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A variant is one kind of Stint cluster that is measured.
type variant struct {
	nodes   int
	backups bool
	leases  bool
}

// String names what is not as usual, "" if all is.
func (v variant) String() string {
	var s []string
	if !v.backups {
		s = append(s, "backups off")
	}
	if !v.leases {
		s = append(s, "leases off")
	}
	return strings.Join(s, ", ")
}

// args are the flags of its nodes. What is on by default is not said, so that older binaries can be measured too.
func (v variant) args() []string {
	var a []string
	if !v.backups {
		a = append(a, "--backups=false")
	}
	if !v.leases {
		a = append(a, "--leases=false")
	}
	return a
}

// A group is those servers that are measured in turn: the rivals and one cluster. All groups have an echo of their own, to which they
// are compared, so that it does not matter at which minute of the run each had its turn, and no idle cluster takes processor time from another.
type group struct {
	name    string // "" is the first
	servers []string
	variant variant
	plan    []item
}

// groups returns the first group, with all servers and the whole plan, and one more for each further value of --nodes, --backups and
// --leases, in which one thing is different from the first; with --cross, one for each combination.
func (o *options) groups() ([]group, error) {
	plan, err := parsePlan(o.workloads)
	if err != nil {
		return nil, err
	}
	other, err := parsePlan(o.others)
	if err != nil {
		return nil, err
	}
	variants, err := o.variants()
	if err != nil {
		return nil, err
	}
	var groups []group
	for i, v := range variants {
		g := group{servers: strings.Split(o.servers, ","), variant: v, plan: plan}
		if i > 0 {
			g.name, g.servers, g.plan = v.unlike(variants[0]), []string{"echo", "stint"}, other
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// unlike says in what v is not like the first.
func (v variant) unlike(first variant) string {
	var s []string
	if v.nodes != first.nodes {
		s = append(s, strconv.Itoa(v.nodes)+" nodes")
		if v.nodes == 1 {
			s[0] = "1 node"
		}
	}
	word := map[bool]string{true: "on", false: "off"}
	if v.backups != first.backups {
		s = append(s, "backups "+word[v.backups])
	}
	if v.leases != first.leases {
		s = append(s, "leases "+word[v.leases])
	}
	return strings.Join(s, ", ")
}

func (o *options) variants() ([]variant, error) {
	var nodes []int
	for t := range strings.SplitSeq(o.nodes, ",") {
		n, err := strconv.Atoi(t)
		if err != nil || n < 1 || n > 20 {
			return nil, fmt.Errorf("--nodes %q: want numbers from 1 to 20, such as 3 or 3,1,5; %w", o.nodes, errUsage)
		}
		nodes = append(nodes, n)
	}
	backups, err := onOff("--backups", o.backups)
	if err != nil {
		return nil, err
	}
	leases, err := onOff("--leases", o.leases)
	if err != nil {
		return nil, err
	}
	var all []variant
	for ni, n := range nodes {
		for bi, b := range backups {
			for li, l := range leases {
				if changed := min(ni, 1) + min(bi, 1) + min(li, 1); changed > 1 && !o.cross {
					continue
				}
				if v := (variant{n, b, l}); !slices.Contains(all, v) {
					all = append(all, v)
				}
			}
		}
	}
	return all, nil
}

func onOff(flag, text string) ([]bool, error) {
	var v []bool
	for t := range strings.SplitSeq(text, ",") {
		if t != "on" && t != "off" {
			return nil, fmt.Errorf("%s %q: on, off, or both with the one to begin with first, such as on,off; %w", flag, text, errUsage)
		}
		v = append(v, t == "on")
	}
	return v, nil
}
