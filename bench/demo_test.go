package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// node is an HTTP server that counts to five in *spent.
func node(t *testing.T, spent *int) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if *spent == 5 {
			fmt.Fprint(w, `{"decisions":[{"allowed":false,"remaining":0,"retry_ms":59400}]}`)
			return
		}
		*spent++
		fmt.Fprintf(w, `{"decisions":[{"allowed":true,"remaining":%d,"retry_ms":0}]}`, 5-*spent)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestDemonstrate(t *testing.T) {
	var together, first, second, third int
	var b bytes.Buffer
	one := []string{node(t, &together), node(t, &together), node(t, &together)}
	if err := demonstrate(t.Context(), &b, one); err != nil {
		t.Error(err)
	}
	if got := b.String(); strings.Count(got, "allowed") != 5 || strings.Count(got, "denied, try again in 59.4 s") != 2 ||
		!strings.Contains(got, "n1 ("+one[1]+"): denied") || !strings.Contains(got, "n2 ("+one[2]+"): denied") {
		t.Errorf("got\n%s", got)
	}
	// Three nodes that each count for themselves must not look like a success.
	if err := demonstrate(t.Context(), &b, []string{node(t, &first), node(t, &second), node(t, &third)}); err == nil {
		t.Error("nodes that do not count together have passed")
	}
}
