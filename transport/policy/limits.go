package policy

import (
	"errors"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
	"go.yaml.in/yaml/v3"
)

// How much: `limits`, of a rule or of an override.

// A limitList is a list of limits and where each of them stands.
type limitList struct {
	limits []transport.Limit
	at     []*yaml.Node
	read   bool // the file has one, right or wrong
}

// limits reads one limit or a list of them, for a rule.
func (d *decoder) limits(n *yaml.Node, rule string) limitList {
	l := limitList{read: true}
	what := "rule " + quote(rule)
	list := d.items(n, "limits")
	switch {
	case n.Kind == yaml.MappingNode:
		d.errorf(n, "limits: [100/1m, 1000/1h]", "limits are written COUNT/WINDOW, not as a map")
		return l
	case len(list) == 0:
		d.errorf(n, "limits: 100/1m", "%s has an empty list of limits", what)
	case len(list) > MaxRuleLimits:
		d.errorf(n, "", "%s has %d limits; the most is %d", what, len(list), MaxRuleLimits)
		return l
	}
	for _, item := range list {
		s, ok := d.text(item, "limits")
		if !ok {
			continue
		}
		b, err := bucket.Parse(s)
		if err != nil {
			f := fault{0, len(s), err.Error(), ""}
			if e := new(bucket.ParseError); errors.As(err, &e) {
				f = *fromLimitError(e)
			}
			d.fault(item, "limit "+quote(s)+": ", f)
			continue
		}
		limit := transport.NewLimit(d.p.Name, rule, b)
		for i := range l.limits {
			if l.limits[i].Window == b.Window && l.limits[i].Algorithm == b.Algorithm {
				d.errorf(item, "", "%s and %s share one bucket: the first on line %d", l.limits[i].Text, limit.Text, l.at[i].Line)
				ok = false
			}
		}
		if ok {
			l.limits, l.at = append(l.limits, limit), append(l.at, item)
		}
	}
	return l
}
