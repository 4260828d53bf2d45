package admin

import (
	"net/http"

	"github.com/stint-limiter/stint/ring"
)

// A memberRow is one member as /v1/members has it.
type memberRow struct {
	Name       string `json:"name"`
	State      string `json:"state"` // alive, suspect, left, dead or forgotten
	Self       bool   `json:"self,omitempty"`
	Serving    bool   `json:"serving"`
	Leaving    bool   `json:"leaving,omitempty"`
	StartID    uint64 `json:"start_id"`
	Partitions int    `json:"partitions"`       // that it is home to
	Ring       string `json:"ring"`             // the ring that it last said it has
	Checks     string `json:"checks,omitempty"` // where it takes checks
	Peers      string `json:"peers,omitempty"`
	Version    string `json:"version,omitempty"`
	// Patience is the factor of its timers; that of all members should be one. Left out: it does not say.
	Patience float64 `json:"patience,omitempty"`
}

type membersPage struct {
	Ring    string      `json:"ring"`  // the ring in force here
	Phase   string      `json:"phase"` // starting, serving or leaving
	Members []memberRow `json:"members"`
}

func (a *admin) members(w http.ResponseWriter, _ *http.Request) {
	page := membersPage{Phase: a.Node.Phase().String(), Members: []memberRow{}}
	r := a.Node.Ring()
	if r != nil {
		page.Ring = r.ID().String()
	}
	for _, m := range a.Node.Gossip().View().Members {
		row := memberRow{
			Name: m.Name, State: m.State.String(), Self: m.Name == a.Node.Name(), Serving: m.Serving, Leaving: m.Leaving,
			StartID: m.StartID, Ring: ring.ID(m.RingID).String(), Checks: m.DataAddr, Peers: m.PeerAddr, Version: m.Version, Patience: m.Patience,
		}
		if r != nil {
			row.Partitions = r.Count(m.Name)
		}
		page.Members = append(page.Members, row)
	}
	writeJSON(w, http.StatusOK, page)
}
