package plot

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strconv"
)

// Colours on a white ground, told apart also by those who do not see red and green apart.
const (
	ink  = "#222222"
	pale = "#dddddd"
)

var palette = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#a0522d"}

// known has the colours of servers, so that each has the same in all pictures.
var known = map[string]string{"stint": "#0072b2", "echo": "#7f7f7f", "redis": "#d55e00", "ratelimit": "#e69f00", "gubernator": "#cc79a7"}

// colour returns that of the i-th series.
func colour(name string, i int) string {
	if c, ok := known[name]; ok {
		return c
	}
	return palette[i%len(palette)]
}

// A canvas gathers the elements of a picture.
type canvas struct{ b bytes.Buffer }

func newCanvas(width, height float64, title string) *canvas {
	c := &canvas{}
	fmt.Fprintf(&c.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" font-family="system-ui, sans-serif" font-size="12" fill="%s">`+"\n",
		n(width), n(height), n(width), n(height), ink)
	fmt.Fprintf(&c.b, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n", html.EscapeString(title))
	c.text(12, 22, "start", `font-size="15" font-weight="600"`, title)
	return c
}

func (c *canvas) done() []byte {
	c.b.WriteString("</svg>\n")
	return c.b.Bytes()
}

// text writes with its baseline at y; anchor is start, middle or end.
func (c *canvas) text(x, y float64, anchor, attributes, s string) {
	if attributes != "" {
		attributes = " " + attributes
	}
	fmt.Fprintf(&c.b, "<text x=\"%s\" y=\"%s\" text-anchor=\"%s\"%s>%s</text>\n", n(x), n(y), anchor, attributes, html.EscapeString(s))
}

func (c *canvas) line(x1, y1, x2, y2 float64, stroke string) {
	fmt.Fprintf(&c.b, "<line x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\" stroke=\"%s\"/>\n", n(x1), n(y1), n(x2), n(y2), stroke)
}

func (c *canvas) rect(x, y, width, height float64, fill string) {
	fmt.Fprintf(&c.b, "<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" fill=\"%s\"/>\n", n(x), n(y), n(width), n(height), fill)
}

func (c *canvas) circle(x, y, r float64, fill string) {
	fmt.Fprintf(&c.b, "<circle cx=\"%s\" cy=\"%s\" r=\"%s\" fill=\"%s\"/>\n", n(x), n(y), n(r), fill)
}

func (c *canvas) path(points [][2]float64, stroke string) {
	c.b.WriteString(`<path d="`)
	for i, p := range points {
		word := "L"
		if i == 0 {
			word = "M"
		}
		fmt.Fprintf(&c.b, "%s%s %s", word, n(p[0]), n(p[1]))
	}
	fmt.Fprintf(&c.b, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", stroke)
}

// n writes a coordinate to a tenth.
func n(f float64) string { return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) }

// Text writes a number as an axis shows it: 0.5, 20, 1,500, 2M.
func Text(f float64) string {
	switch {
	case f >= 1e6:
		return strconv.FormatFloat(f/1e6, 'g', 3, 64) + "M"
	case f >= 1e4:
		return strconv.FormatFloat(f/1e3, 'f', -1, 64) + "k"
	case f >= 1000:
		s := strconv.FormatFloat(f, 'f', 0, 64)
		return s[:1] + "," + s[1:]
	}
	return strconv.FormatFloat(f, 'g', 3, 64)
}

// steps returns round numbers from 0 up to the first that is not below most, about five of them.
func steps(most float64) []float64 {
	if !(most > 0) || math.IsInf(most, 0) {
		return []float64{0, 1}
	}
	step := math.Pow(10, math.Floor(math.Log10(most/5)))
	for _, k := range []float64{1, 2, 5, 10} {
		if most/(step*k) <= 5 {
			step *= k
			break
		}
	}
	v := []float64{0}
	for i := 1; v[len(v)-1] < most*(1-1e-9); i++ {
		v = append(v, float64(i)*step)
	}
	return v
}

// decades returns 1, 2 and 5 times the powers of ten that reach from least to most; only the powers where there are many.
func decades(least, most float64) []float64 {
	if !(least > 0) || !(most >= least) || math.IsInf(most, 0) {
		return []float64{1, 10}
	}
	from, to := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	if to == from {
		to++
	}
	var v []float64
	for e := from; e <= to; e++ {
		for _, k := range []float64{1, 2, 5} {
			if k == 1 || to-from <= 3 && e < to {
				v = append(v, k*math.Pow(10, e))
			}
		}
	}
	// Ticks beyond the data, but for one, are room for nothing.
	for len(v) > 2 && v[1] <= least {
		v = v[1:]
	}
	for len(v) > 2 && v[len(v)-2] >= most {
		v = v[:len(v)-1]
	}
	return v
}
