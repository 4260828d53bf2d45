package plot

import (
	"encoding/xml"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

// elements reads a picture and returns its elements by name; every coordinate in it must be on the canvas.
func elements(t *testing.T, svg []byte) map[string][]map[string]string {
	t.Helper()
	all := map[string][]map[string]string{}
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	var width, height float64
	var open string
	for {
		token, err := d.Token()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		switch e := token.(type) {
		case xml.StartElement:
			a := map[string]string{}
			for _, x := range e.Attr {
				a[x.Name.Local] = x.Value
			}
			open = e.Name.Local
			all[open] = append(all[open], a)
			if open == "svg" {
				width, _ = strconv.ParseFloat(a["width"], 64)
				height, _ = strconv.ParseFloat(a["height"], 64)
			}
			for name, most := range map[string]float64{"x": width, "x1": width, "x2": width, "cx": width, "y": height, "y1": height, "y2": height, "cy": height} {
				if s, ok := a[name]; ok {
					if v, err := strconv.ParseFloat(s, 64); err != nil || v < 0 || v > most {
						t.Errorf("%s of a %s is %s, of %v", name, open, s, most)
					}
				}
			}
		case xml.CharData:
			if list := all[open]; open == "text" && len(list) > 0 && strings.TrimSpace(string(e)) != "" {
				list[len(list)-1]["text"] = string(e)
			}
		}
	}
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestBars(t *testing.T) {
	got := elements(t, Bars{Title: "a < b & c", Unit: "checks/s", Panels: []Panel{
		{"one", []Group{{"uniform", []Bar{{"echo", 80, ""}, {"stint", 40, "half"}}}, {"hot", []Bar{{"stint", 0, ""}}}}},
		{"other", []Group{{"uniform", []Bar{{"stint", 1e6, ""}}}}},
		{"empty", nil},
	}}.SVG())
	bars := got["rect"][1:] // the first is the ground
	if len(bars) != 4 {
		t.Fatalf("%d bars", len(bars))
	}
	if a, b := number(t, bars[0]["width"]), number(t, bars[1]["width"]); math.Abs(a-2*b) > 0.2 {
		t.Errorf("80 is %v wide and 40 is %v", a, b)
	}
	if bars[1]["fill"] != bars[3]["fill"] || bars[0]["fill"] == bars[1]["fill"] {
		t.Errorf("a server has one colour, others have others: %v", bars)
	}
	var texts []string
	for _, x := range got["text"] {
		texts = append(texts, x["text"])
	}
	for _, want := range []string{"a < b & c", "checks/s", "half", "80", "1M", "uniform", "stint"} {
		if !strings.Contains("\n"+strings.Join(texts, "\n")+"\n", "\n"+want+"\n") {
			t.Errorf("no %q among %q", want, texts)
		}
	}
}

func TestLines(t *testing.T) {
	got := elements(t, Lines{
		Title: "cost", X: "nodes", Y: "CPU, µs", LogX: true, LogY: true, Ticks: []Tick{{1, "1"}, {10, "10"}, {100, "100"}},
		Series: []Series{
			{"echo", [][2]float64{{1, 20}, {10, 4}, {100, 2}}},
			{"stint", [][2]float64{{1, 40}, {10, 6}, {100, 2.1}, {0, 5}}}, // 0 has no logarithm
			{"redis", [][2]float64{{1, 30}, {100, 1.9}}},
			{"none", nil},
		},
	}.SVG())
	if len(got["circle"]) != 8 || len(got["path"]) != 3 {
		t.Fatalf("%d points on %d curves", len(got["circle"]), len(got["path"]))
	}
	// Each factor of ten is as wide as another.
	x := func(i int) float64 { return number(t, got["circle"][i]["cx"]) }
	if math.Abs(x(1)-x(0)-(x(2)-x(1))) > 0.2 {
		t.Errorf("1, 10 and 100 are at %v, %v and %v", x(0), x(1), x(2))
	}
	// The three end close together; their names do not.
	at := map[string]float64{}
	for _, e := range got["text"] {
		if s := e["text"]; s == "echo" || s == "stint" || s == "redis" {
			at[s] = number(t, e["y"])
		}
	}
	if len(at) != 3 || at["echo"]-at["stint"] < 14 || at["redis"]-at["echo"] < 14 {
		t.Errorf("names at %v", at)
	}
}

func TestPicturesOfNothing(t *testing.T) {
	elements(t, Lines{LogX: true, LogY: true}.SVG())
	elements(t, Lines{Series: []Series{{"a", [][2]float64{{3, 0}}}}}.SVG())
	elements(t, Lines{Series: []Series{{"a", [][2]float64{{math.NaN(), 1}}}}}.SVG())
	elements(t, Bars{}.SVG())
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		most float64
		want string
	}{{0, "0 1"}, {1, "0 0.2 0.4 0.6 0.8 1"}, {2.03, "0 0.5 1 1.5 2 2.5"}, {49_000, "0 10k 20k 30k 40k 50k"}, {1_450_000, "0 500k 1M 1.5M"}, {math.Inf(1), "0 1"}} {
		var s []string
		for _, v := range steps(c.most) {
			s = append(s, Text(v))
		}
		if got := strings.Join(s, " "); got != c.want {
			t.Errorf("up to %v: %s, want %s", c.most, got, c.want)
		}
	}
	for _, c := range []struct {
		least, most float64
		want        string
	}{{0.15, 41, "0.1 0.2 0.5 1 2 5 10 20 50"}, {3, 4, "2 5"}, {1, 1, "1 2"}, {0.01, 9000, "0.01 0.1 1 10 100 1,000 10k"}, {0, 5, "1 10"}} {
		var s []string
		for _, v := range decades(c.least, c.most) {
			s = append(s, Text(v))
		}
		if got := strings.Join(s, " "); got != c.want {
			t.Errorf("%v to %v: %s, want %s", c.least, c.most, got, c.want)
		}
	}
}
