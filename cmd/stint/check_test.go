package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A node that refuses the question was asked: that is wrong use, not a node that is away.
func TestCheckExitStatus(t *testing.T) {
	for status, want := range map[int]int{http.StatusBadRequest: exitUse, http.StatusServiceUnavailable: exitUnavailable, http.StatusNotFound: exitUnavailable} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"detail":"why"}`))
		}))
		if got := run([]string{"check", "--addr", strings.TrimPrefix(s.URL, "http://"), "k", "5/1m"}); got != want {
			t.Errorf("status %d: exit %d, want %d", status, got, want)
		}
		s.Close()
	}
}
