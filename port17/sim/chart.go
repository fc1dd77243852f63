package sim

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// A Chart is drawn as an SVG file that stands for itself: readers with a dark
// screen get a dark one, and those who hear it get its title and description.
type Chart struct {
	Name        string `json:"name"` // of the file, without .svg
	Title       string `json:"title"`
	Description string `json:"description"`
	X, Y        Axis   `json:"-"`
	// Lines are curves, or Groups are bars; not both.
	Lines  []Line     `json:"-"`
	Bars   []string   `json:"-"` // what the bars of each group are
	Groups []BarGroup `json:"-"`
}

// An Axis of a chart. With Log, values are above 0.
type Axis struct {
	Label    string
	Log      bool
	Percent  bool // values from 0 to 1 are shown as 0 to 100 %
	Min, Max float64
}

// A Line is a curve.
type Line struct {
	Label  string
	Points [][2]float64
}

// A BarGroup is some bars beside each other.
type BarGroup struct {
	Label  string
	Values []float64
}

const (
	chartWidth, chartHeight = 760, 440
	plotLeft, plotRight     = 70, 740
	plotTop, plotBottom     = 112, 380
	mostTicks               = 8
)

// Colours after Okabe and Ito, told apart by people who see few; lines have
// dashes besides.
const chartStyle = `<style>
svg{background:#fff;font:13px system-ui,sans-serif}
text{fill:#222}.title{font-size:16px;font-weight:600}.grid{stroke:#ddd}.axis{stroke:#666}
.line{fill:none;stroke-width:2.2}
.s0{stroke:#0072b2;fill:#0072b2}.s1{stroke:#b35900;fill:#b35900}.s2{stroke:#007a5a;fill:#007a5a}.s3{stroke:#a8326e;fill:#a8326e}.s4{stroke:#555;fill:#555}
.line{fill:none}.bar{stroke:none}
@media (prefers-color-scheme:dark){svg{background:#16181d}text{fill:#e6e6e6}.grid{stroke:#333740}.axis{stroke:#999}
.s0{stroke:#56b4e9;fill:#56b4e9}.s1{stroke:#e69f00;fill:#e69f00}.s2{stroke:#2bc79a;fill:#2bc79a}.s3{stroke:#e58ab8;fill:#e58ab8}.s4{stroke:#b5b5b5;fill:#b5b5b5}.line{fill:none}.bar{stroke:none}}
</style>`

var dashes = [...]string{"", "7 3", "2 3", "9 3 2 3", "1 4"}

// colours is how many series can be told apart.
const colours = len(dashes)

// SVG draws the chart.
func (c Chart) SVG() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title desc">`+"\n", chartWidth, chartHeight)
	fmt.Fprintf(&b, "<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n%s\n", html.EscapeString(c.Title), html.EscapeString(c.Description), chartStyle)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="28">%s</text>`+"\n", plotLeft, html.EscapeString(c.Title))
	if len(c.Groups) > 0 {
		c.drawBars(&b)
	} else {
		c.drawLines(&b)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// legend writes what the series are above the plot, in two rows at most.
func legend(b *strings.Builder, labels []string, bars bool) {
	x, y := float64(plotLeft), 54
	for i, label := range labels {
		wide := 52 + 6.6*float64(len([]rune(label)))
		if x+wide > plotRight+20 && x > plotLeft {
			x, y = plotLeft, y+20
		}
		if bars {
			fmt.Fprintf(b, `<rect class="bar s%d" x="%.0f" y="%d" width="14" height="12"/>`, i%colours, x, y-6)
		} else {
			fmt.Fprintf(b, `<path class="line s%d" stroke-dasharray="%s" d="M%.0f %dh26"/>`, i%colours, dashes[i%colours], x, y)
		}
		fmt.Fprintf(b, `<text x="%.0f" y="%d">%s</text>`+"\n", x+32, y+5, html.EscapeString(label))
		x += wide
	}
}

// scale maps a value to the picture.
func (a Axis) scale(v float64, from, to float64) float64 {
	low, high := a.Min, a.Max
	if a.Log {
		v, low, high = math.Log10(max(v, a.Min)), math.Log10(low), math.Log10(high)
	}
	return from + (min(max(v, low), high)-low)/(high-low)*(to-from)
}

// fit sets the bounds that were not set to those of the values.
func (a Axis) fit(values []float64) Axis {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if !a.Log || v > 0 {
			low, high = min(low, v), max(high, v)
		}
	}
	if a.Min == 0 && a.Log {
		a.Min = math.Pow(10, math.Floor(math.Log10(low)))
	}
	if a.Max == 0 {
		a.Max = high
		if a.Log {
			a.Max = math.Pow(10, math.Ceil(math.Log10(high)))
		} else if step := a.step(); step > 0 {
			a.Max = math.Ceil(high/step) * step
		}
	}
	if !(a.Max > a.Min) {
		a.Max = a.Min + 1
		if a.Log {
			a.Min, a.Max = 0.1, 1
		}
	}
	return a
}

// step is the distance of ticks: 1, 2 or 5 times a power of ten.
func (a Axis) step() float64 {
	if !(a.Max > a.Min) {
		return 0
	}
	rough := (a.Max - a.Min) / mostTicks
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, f := range []float64{1, 2, 5} {
		if f*power >= rough {
			return f * power
		}
	}
	return 10 * power
}

// ticks returns where lines and numbers are.
func (a Axis) ticks() (ticks []float64) {
	if a.Log {
		for v := a.Min; v <= a.Max*1.001; v *= 10 {
			ticks = append(ticks, v)
		}
		return ticks
	}
	step := a.step()
	for i := math.Ceil(a.Min / step); i*step <= a.Max*1.001; i++ {
		ticks = append(ticks, i*step)
	}
	return ticks
}

func (a Axis) text(v float64) string {
	if a.Percent {
		return strconv.FormatFloat(100*v, 'g', 3, 64) + " %"
	}
	switch {
	case v >= 999_999:
		return strconv.FormatFloat(v/1e6, 'g', 6, 64) + " M"
	case v >= 9999:
		return strconv.FormatFloat(v/1000, 'g', 6, 64) + " k"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// frame draws the axes, and vertical lines unless there are bars.
func (c Chart) frame(b *strings.Builder, vertical bool) {
	for _, v := range c.Y.ticks() {
		y := c.Y.scale(v, plotBottom, plotTop)
		fmt.Fprintf(b, `<path class="grid" d="M%d %.1fH%d"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", plotLeft, y, plotRight, plotLeft-8, y+4, c.Y.text(v))
	}
	if vertical {
		for _, v := range c.X.ticks() {
			x := c.X.scale(v, plotLeft, plotRight)
			fmt.Fprintf(b, `<path class="grid" d="M%.1f %dV%d"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x, plotTop, plotBottom, x, plotBottom+18, c.X.text(v))
		}
	}
	fmt.Fprintf(b, `<path class="axis" fill="none" d="M%d %dV%dH%d"/>`+"\n", plotLeft, plotTop, plotBottom, plotRight)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text><text x="%d" y="%d">%s</text>`+"\n",
		(plotLeft+plotRight)/2, plotBottom+44, html.EscapeString(c.X.Label), plotLeft-58, plotTop-12, html.EscapeString(c.Y.Label))
}

func (c Chart) drawLines(b *strings.Builder) {
	var xs, ys []float64
	var labels []string
	for _, l := range c.Lines {
		labels = append(labels, l.Label)
		for _, p := range l.Points {
			xs, ys = append(xs, p[0]), append(ys, p[1])
		}
	}
	c.X, c.Y = c.X.fit(xs), c.Y.fit(ys)
	c.frame(b, true)
	for i, l := range c.Lines {
		var d strings.Builder
		for k, p := range l.Points {
			fmt.Fprintf(&d, "%c%.1f %.1f", "LM"[btoi(k == 0)], c.X.scale(p[0], plotLeft, plotRight), c.Y.scale(p[1], plotBottom, plotTop))
		}
		fmt.Fprintf(b, `<path class="line s%d" stroke-dasharray="%s" d="%s"/>`+"\n", i%colours, dashes[i%colours], d.String())
	}
	legend(b, labels, false)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (c Chart) drawBars(b *strings.Builder) {
	var ys []float64
	for _, g := range c.Groups {
		ys = append(ys, g.Values...)
	}
	c.Y = c.Y.fit(ys)
	c.frame(b, false)
	wide := float64(plotRight-plotLeft) / float64(len(c.Groups))
	for i, g := range c.Groups {
		left := float64(plotLeft) + wide*float64(i)
		bar := wide * 0.8 / float64(len(g.Values))
		for k, v := range g.Values {
			if c.Y.Log && !(v > 0) {
				continue
			}
			y := c.Y.scale(v, plotBottom, plotTop)
			fmt.Fprintf(b, `<rect class="bar s%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s, %s: %s</title></rect>`+"\n", k%colours, left+wide*0.1+bar*float64(k), y, bar*0.9, plotBottom-y,
				html.EscapeString(g.Label), html.EscapeString(c.Bars[k]), c.Y.text(v))
		}
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", left+wide/2, plotBottom+18, html.EscapeString(g.Label))
	}
	legend(b, c.Bars, true)
}

// cumulative is the line of a distribution.
func cumulative(label string, s Spread) Line {
	l := Line{Label: label}
	for i, v := range s.Curve {
		l.Points = append(l.Points, [2]float64{v, float64(i) / 100})
	}
	return l
}
