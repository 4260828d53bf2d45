package plot

import (
	"cmp"
	"math"
	"slices"
)

// Lines is a picture of curves. The name of each stands at its end.
type Lines struct {
	Title, X, Y string // of the picture and its axes, with units
	LogX, LogY  bool
	Ticks       []Tick // of X
	Series      []Series
}

// A Tick is a place on an axis and what stands there.
type Tick struct {
	At   float64
	Text string
}

// A Series is one curve.
type Series struct {
	Name   string
	Points [][2]float64 // by X
}

// SVG draws the picture. In a logarithmic scale, points that are not above 0 are left out.
func (l Lines) SVG() []byte {
	const (
		width, height            = 820.0, 440.0
		left, right, top, bottom = 70.0, 220.0, 50.0, 56.0
	)
	c := newCanvas(width, height, l.Title)
	drawn := l.drawn()
	xs, ys := axis{log: l.LogX}, axis{log: l.LogY}
	for _, s := range drawn {
		for _, p := range s.Points {
			xs.include(p[0])
			ys.include(p[1])
		}
	}
	for _, t := range l.Ticks {
		xs.include(t.At)
	}
	var ticks []float64
	if l.LogY {
		ticks = decades(ys.least, ys.most)
	} else {
		ticks = steps(ys.most)
	}
	ys.least, ys.most = ticks[0], ticks[len(ticks)-1]
	x := func(v float64) float64 { return left + xs.part(v)*(width-left-right) }
	y := func(v float64) float64 { return height - bottom - ys.part(v)*(height-top-bottom) }

	for _, t := range ticks {
		c.line(left, y(t), width-right, y(t), pale)
		c.text(left-8, y(t)+4, "end", "", Text(t))
	}
	for _, t := range l.Ticks {
		c.line(x(t.At), height-bottom, x(t.At), height-bottom+5, ink)
		c.text(x(t.At), height-bottom+18, "middle", "", t.Text)
	}
	c.line(left, height-bottom, width-right, height-bottom, ink)
	c.text(width-right, height-bottom+38, "end", "", l.X)
	c.text(12, top-8, "start", "", l.Y)

	type label struct {
		at   float64
		name string
		i    int
	}
	var labels []label
	for i, s := range drawn {
		var points [][2]float64
		for _, p := range s.Points {
			points = append(points, [2]float64{x(p[0]), y(p[1])})
		}
		c.path(points, colour(s.Name, i))
		for _, p := range points {
			c.circle(p[0], p[1], 3, colour(s.Name, i))
		}
		labels = append(labels, label{points[len(points)-1][1], s.Name, i})
	}
	// Labels stand where their curves end, but not on one another.
	slices.SortFunc(labels, func(a, b label) int { return cmp.Compare(a.at, b.at) })
	const line = 15.0
	for i := 1; i < len(labels); i++ {
		labels[i].at = max(labels[i].at, labels[i-1].at+line)
	}
	for i := len(labels) - 1; i >= 0; i-- {
		most := height - bottom
		if i+1 < len(labels) {
			most = labels[i+1].at - line
		}
		labels[i].at = min(labels[i].at, most)
	}
	for _, b := range labels {
		c.text(width-right+10, b.at+4, "start", `fill="`+colour(b.name, b.i)+`"`, b.name)
	}
	return c.done()
}

// drawn returns the series without what the scales cannot show.
func (l Lines) drawn() []Series {
	var all []Series
	for _, s := range l.Series {
		points := slices.DeleteFunc(slices.Clone(s.Points), func(p [2]float64) bool {
			return l.LogX && p[0] <= 0 || l.LogY && p[1] <= 0 || math.IsNaN(p[0]) || math.IsNaN(p[1])
		})
		if len(points) > 0 {
			all = append(all, Series{s.Name, points})
		}
	}
	return all
}

// An axis maps values to parts of its length.
type axis struct {
	log, any    bool
	least, most float64
}

func (a *axis) include(v float64) {
	if !a.any {
		a.least, a.most, a.any = v, v, true
	}
	a.least, a.most = min(a.least, v), max(a.most, v)
}

// part returns 0 for the least, 1 for the most, a half where they are the same.
func (a *axis) part(v float64) float64 {
	least, most := a.least, a.most
	if a.log {
		least, most, v = math.Log(least), math.Log(most), math.Log(v)
	}
	if most == least {
		return 0.5
	}
	return (v - least) / (most - least)
}
