package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stint-limiter/stint/bench/proc"
	"github.com/stint-limiter/stint/transport/policy"
)

// The recipes of docs/doors, as they stand there, run by the real proxies before a real node: what is on the page is what is
// tested. Only addresses are replaced.

// A proxied is a recipe that runs.
type proxied struct {
	url     string        // of the proxy
	node    *proc.Node    // that it asks
	reached *requestsSeen // by the application behind it
}

func TestNginxRecipe(t *testing.T) {
	nginx := installed(t, "nginx", "/usr/sbin/nginx")
	if out, err := exec.Command(nginx, "-V").CombinedOutput(); err != nil || !bytes.Contains(out, []byte("http_auth_request_module")) {
		t.Skipf("this nginx has no auth_request (%v)", err)
	}
	p := recipe(t, recipeBlock(t, "nginx.md", "nginx", 0), "listen 80;", "listen %s;", func(dir, site string) proc.Spec {
		// What a distribution's nginx.conf has around a site, in a directory of the test's own.
		conf := "daemon off; master_process off; pid nginx.pid; error_log stderr; events {}\nhttp { access_log off;\n"
		for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			conf += of + "_temp_path " + of + ";\n"
		}
		write(t, filepath.Join(dir, "nginx.conf"), conf+site+"}\n")
		return proc.Spec{Name: "nginx", Path: nginx, Args: []string{"-e", "stderr", "-p", dir, "-c", "nginx.conf"}}
	})
	p.check(t, true)
	p.node.Kill()
	if got := p.get(t, http.MethodPost, "/activate"); got.status != http.StatusOK {
		t.Errorf("with no node up, the recipe's @stint_down should let requests pass: %v", got)
	}
}

func TestCaddyRecipes(t *testing.T) {
	caddy := installed(t, "caddy")
	for i, form := range []string{"short", "long"} {
		t.Run(form, func(t *testing.T) {
			p := recipe(t, recipeBlock(t, "caddy.md", "caddyfile", i), "api.example.com {", "http://%s {", func(dir, site string) proc.Spec {
				write(t, filepath.Join(dir, "Caddyfile"), "{\n\tadmin off\n\tauto_https off\n}\n"+site)
				return proc.Spec{
					Name: "caddy", Path: caddy, Args: []string{"run", "--adapter", "caddyfile", "--config", filepath.Join(dir, "Caddyfile")},
					Env: []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_DATA_HOME=" + dir},
				}
			})
			p.check(t, form == "long")
		})
	}
}

// check sends what a client of the web3market policy may send, and some things that it should not. headers says whether the
// recipe carries headers on allowed answers.
func (p *proxied) check(t *testing.T, headers bool) {
	t.Helper()
	const limit = 30 // of POST /activate, per minute
	for i := range limit {
		// A query with the door's own parameters in it, and headers that would choose another rule or address. None of
		// them may reach the door as the client's word.
		got := p.get(t, http.MethodPost, "/activate?denial=1&policy=x&n="+strconv.Itoa(i),
			"X-Forwarded-For", "198.51.100."+strconv.Itoa(i), "X-Forwarded-Uri", "/about", "X-Original-URI", "/about",
			"X-Forwarded-Method", "GET", "X-Original-Method", "GET")
		if want := fmt.Sprintf("POST /activate?denial=1&policy=x&n=%d {}", i); got.status != http.StatusOK || got.body != want {
			t.Fatalf("request %d: %v\nwant 200 and %q", i+1, got, want)
		}
		left := ""
		if headers {
			left = strconv.Itoa(limit - 1 - i)
			if got.header.Get("X-RateLimit-Limit") != strconv.Itoa(limit) {
				t.Fatalf("request %d: X-RateLimit-Limit is not %d: %v", i+1, limit, got)
			}
		}
		if got.header.Get("X-RateLimit-Remaining") != left {
			t.Fatalf("request %d: X-RateLimit-Remaining is not %q: %v", i+1, left, got)
		}
	}
	before := p.reached.count()
	got := p.get(t, http.MethodPost, "/activate?policy=x", "X-Forwarded-For", "198.51.100.200")
	const body = "{\n  \"success\": false,\n  \"error\": \"rate_limit_exceeded\",\n  \"message\": \"Too many requests. Please try again later.\"\n}\n"
	if got.status != http.StatusTooManyRequests || got.body != body {
		t.Errorf("request %d: %v\nwant 429 and the policy's body", limit+1, got)
	}
	for name, want := range map[string]string{"X-RateLimit-Limit": "30", "X-RateLimit-Remaining": "0", "Content-Type": "application/json"} {
		if all := got.header.Values(name); len(all) != 1 || all[0] != want {
			t.Errorf("the denial's %s is %q, want %q once", name, all, want)
		}
	}
	if wait, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || wait < 1 || wait > 60 {
		t.Errorf("the denial's Retry-After is %q, want 1 to 60", got.header.Get("Retry-After"))
	}
	if p.reached.count() != before {
		t.Error("a denied request reached the application")
	}

	got = p.get(t, http.MethodGet, "/about")
	if got.status != http.StatusOK || got.header.Get("X-RateLimit-Limit") != "" || got.header.Get("X-RateLimit-Remaining") != "" {
		t.Errorf("a request that no rule counts: %v\nwant 200 without limits", got)
	}
	got = p.get(t, http.MethodGet, "/forbidden")
	if got.status != http.StatusForbidden || got.body != "GET /forbidden " {
		t.Errorf("the application's own 403: %v\nwant it as it was", got)
	}
}

// recipe starts an application, a node with the web3market policy and the proxy, which configure makes a directory and a
// configuration for. listen is what of the recipe says where to listen, and with replaces it.
func recipe(t *testing.T, site, listen, with string, configure func(dir, site string) proc.Spec) *proxied {
	t.Helper()
	p := &proxied{reached: &requestsSeen{}}
	app := httptest.NewServer(p.reached)
	t.Cleanup(app.Close)
	src, ok := policy.Example("web3market")
	if !ok {
		t.Fatal("there is no example web3market")
	}
	g := group(t)
	cl, err := g.StartCluster(context.Background(), proc.ClusterConfig{
		Binary: binary, Nodes: 1, Args: []string{"--policy", file(t, "web3market.yaml", string(src))},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.node = cl.Nodes[0]
	port, err := proc.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	addr := "127.0.0.1:" + strconv.Itoa(port)
	p.url = "http://" + addr
	for old, replaced := range map[string]string{
		listen: fmt.Sprintf(with, addr), "127.0.0.1:7070": p.node.Checks(), "127.0.0.1:3000": app.Listener.Addr().String(),
	} {
		if strings.Count(site, old) != 1 {
			t.Fatalf("the recipe has %q %d times, want once:\n%s", old, strings.Count(site, old), site)
		}
		site = strings.Replace(site, old, replaced, 1)
	}
	proxy, err := g.Start(configure(t.TempDir(), site))
	if err != nil {
		t.Fatal(err)
	}
	if err := proxy.Listening(context.Background(), addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(proxy.Tail(20) + cl.Tails(5))
		}
	})
	return p
}

// recipeBlock returns the n-th code block in a language of a page of docs/doors.
func recipeBlock(t *testing.T, page, language string, n int) string {
	t.Helper()
	root, err := proc.ModuleRoot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "doors", page))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "\n```"+language+"\n")[1:]
	if n >= len(blocks) {
		t.Fatalf("%s has %d blocks of %s, want more than %d", page, len(blocks), language, n)
	}
	block, _, _ := strings.Cut(blocks[n], "\n```")
	return block + "\n"
}

// installed returns the first of the names that can be run, and skips the test where there is none.
func installed(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed (apt-get install %s)", names[0], names[0])
	return ""
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// requestsSeen is the application: it says what it was asked, and counts.
type requestsSeen struct{ n atomic.Uint64 }

func (s *requestsSeen) count() uint64 { return s.n.Load() }

func (s *requestsSeen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.n.Add(1)
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	if r.URL.Path == "/forbidden" {
		w.WriteHeader(http.StatusForbidden)
	}
	fmt.Fprintf(w, "%s %s %s", r.Method, r.RequestURI, body)
}

// A proxyAnswer is what a client got.
type proxyAnswer struct {
	status int
	header http.Header
	body   string
}

func (a proxyAnswer) String() string { return fmt.Sprintf("%d %v %q", a.status, a.header, a.body) }

// get sends a request through the proxy; headers are names and values by turns. A POST has a body.
func (p *proxied) get(t *testing.T, method, uri string, headers ...string) proxyAnswer {
	t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("{}")
	}
	r, err := http.NewRequest(method, p.url+uri, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		t.Fatal(err)
	}
	return proxyAnswer{resp.StatusCode, resp.Header, string(b)}
}
