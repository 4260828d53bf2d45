package plot

import "unicode/utf8"

// Bars is a picture of bars that lie on their side, in panels with scales of their own.
type Bars struct {
	Title, Unit string
	Panels      []Panel
}

// A Panel is a part of the picture with one scale.
type Panel struct {
	Title  string
	Groups []Group
}

// A Group is some bars with one name.
type Group struct {
	Name string
	Bars []Bar
}

// A Bar is one of them.
type Bar struct {
	Name  string
	Value float64
	Text  string // at its end; "" is the value
}

// SVG draws the picture.
func (b Bars) SVG() []byte {
	const (
		width  = 820.0
		letter = 6.6   // about as wide as one is
		right  = 130.0 // for the texts at the bars' ends
		bar    = 14.0
		gap    = 4.0
		apart  = 12.0 // between groups
		head   = 42.0 // of the picture
		title  = 22.0 // of a panel
		bottom = 42.0 // of a panel
	)
	height, group, name := head, 0, 0
	for _, p := range b.Panels {
		height += title + bottom
		for _, g := range p.Groups {
			height += float64(len(g.Bars))*(bar+gap) + apart
			group = max(group, utf8.RuneCountInString(g.Name))
			for _, x := range g.Bars {
				name = max(name, utf8.RuneCountInString(x.Name))
			}
		}
	}
	left := 12 + letter*float64(group) + 16 + letter*float64(name) + 8 // where bars begin
	c := newCanvas(width, height, b.Title)
	y := head
	colours := map[string]int{}
	for _, p := range b.Panels {
		c.text(12, y+12, "start", `font-weight="600"`, p.Title)
		y += title
		top, most := y, 0.0
		for _, g := range p.Groups {
			y += float64(len(g.Bars))*(bar+gap) + apart
			for _, x := range g.Bars {
				most = max(most, x.Value)
			}
		}
		ticks := steps(most)
		scale := (width - left - right) / ticks[len(ticks)-1]
		for _, t := range ticks {
			x := left + t*scale
			c.line(x, top, x, y, pale)
			c.text(x, y+14, "middle", "", Text(t))
		}
		c.text(width-right, y+29, "end", "", b.Unit)
		at := top + apart/2
		for _, g := range p.Groups {
			c.text(12, at+bar-3, "start", "", g.Name)
			for _, x := range g.Bars {
				if _, ok := colours[x.Name]; !ok {
					colours[x.Name] = len(colours)
				}
				c.text(left-8, at+bar-3, "end", "", x.Name)
				c.rect(left, at, x.Value*scale, bar, colour(x.Name, colours[x.Name]))
				text := x.Text
				if text == "" {
					text = Text(x.Value)
				}
				c.text(left+x.Value*scale+5, at+bar-3, "start", "", text)
				at += bar + gap
			}
			at += apart
		}
		c.line(left, top, left, y, ink)
		y += bottom
	}
	return c.done()
}
