package workflow

import (
	"fmt"
	"html"
	"strings"
)

// svgStyle follows the page's colours where a page has the picture inside.
const svgStyle = `<style>
.wf text{font:12px system-ui,sans-serif;fill:var(--wf-text,#1b1f24)}
.wf .name{font-weight:600}.wf .what{font-size:11px;fill:var(--wf-soft,#57606a)}
.wf .label{font-size:11px;fill:var(--wf-soft,#57606a);paint-order:stroke;stroke:var(--wf-page,#fff);stroke-width:4px;stroke-linejoin:round}
.wf .box{fill:var(--wf-box,#f6f8fa);stroke:var(--wf-line,#6e7781);stroke-width:1.2}
.wf .write .box{stroke:var(--wf-write,#9a6700);stroke-width:2}.wf .wait .box{fill:var(--wf-wait,#ddf4ff);stroke:var(--wf-waitline,#0969da)}
.wf .good .box{fill:var(--wf-good,#dafbe1);stroke:var(--wf-goodline,#1a7f37)}.wf .bad .box{fill:var(--wf-bad,#ffebe9);stroke:var(--wf-badline,#cf222e)}
.wf .way{fill:none;stroke:var(--wf-line,#6e7781);stroke-width:1.3}.wf .catch{stroke:var(--wf-badline,#cf222e);stroke-dasharray:4 3}.wf .back{stroke:var(--wf-waitline,#0969da)}
</style>`

// SVG returns the definition's graph as a picture: layers from the start down to the ends, ways that
// a catcher takes dashed, ways back up to an earlier node in another colour. Each node is a group
// with data-node, so that a page can put counts on it. Equal definitions give equal bytes.
func SVG(d *Definition) string {
	g := layOut(d)
	width := 0
	for _, row := range g.rows {
		for _, s := range row {
			width = max(width, s.x+s.w/2)
		}
	}
	for i := range g.lines {
		x, _ := g.lines[i].labelAt(i)
		width = max(width, x+len(g.lines[i].edge.Label)*charWidth/2)
	}
	height := len(g.rows)*(boxHeight+rowGap) - rowGap + 2*marginSize
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="wf" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img" aria-label="%s">`,
		width+marginSize, height, html.EscapeString("Workflow "+d.Name))
	b.WriteString("\n" + svgStyle + "\n")
	b.WriteString(`<defs><marker id="wf-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="#6e7781"/></marker></defs>` + "\n")
	for i := range g.lines {
		g.lines[i].draw(&b)
	}
	for _, row := range g.rows {
		for _, s := range row {
			if s.node != nil {
				s.draw(&b, s.node.Name == d.Start)
			}
		}
	}
	for i := range g.lines {
		g.lines[i].drawLabel(&b, i)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// top returns the y of the upper side of a row.
func top(row int) int { return marginSize + row*(boxHeight+rowGap) }

// draw writes a node.
func (s *spot) draw(b *strings.Builder, isStart bool) {
	class, radius := nodeClass(s.node), 4
	if s.node.Type == Terminal {
		radius = boxHeight / 2
	}
	y := top(s.row)
	fmt.Fprintf(b, `<g class="%s" data-node="%s"><title>%s</title>`, class, html.EscapeString(s.node.Name), html.EscapeString(title(s.node)))
	if s.node.Type == Wait {
		fmt.Fprintf(b, `<path class="box" d="M%d %dh%dl10 %dl-10 %[4]dh-%[3]dl-10 -%[4]dz"/>`, s.x-s.w/2, y, s.w, boxHeight/2)
	} else {
		fmt.Fprintf(b, `<rect class="box" x="%d" y="%d" width="%d" height="%d" rx="%d"/>`, s.x-s.w/2, y, s.w, boxHeight, radius)
	}
	text := caption(s.node)
	if isStart {
		text[0] = "▸ " + text[0]
	}
	fmt.Fprintf(b, `<text class="name" x="%d" y="%d" text-anchor="middle">%s</text>`, s.x, y+18, html.EscapeString(text[0]))
	fmt.Fprintf(b, `<text class="what" x="%d" y="%d" text-anchor="middle">%s</text></g>`+"\n", s.x, y+34, html.EscapeString(text[1]))
}

func nodeClass(n *Node) string {
	switch {
	case n.Type == Wait:
		return "node wait"
	case n.Type == Terminal && n.Status == Succeeded:
		return "node good"
	case n.Type == Terminal:
		return "node bad"
	case n.Action.Effect == Write:
		return "node write"
	}
	return "node"
}

// title returns what a pointer over a node shows.
func title(n *Node) string {
	return strings.TrimSpace(strings.Join(append(caption(n), n.Comment, n.Cause), "\n"))
}

// draw writes a way as one curve through its spots.
func (l *line) draw(b *strings.Builder) {
	class, marker := "way", `marker-end="url(#wf-tip)"`
	if l.edge.IsCatch {
		class += " catch"
	}
	if l.isBack {
		class, marker = class+" back", `marker-start="url(#wf-tip)"`
	}
	fmt.Fprintf(b, `<path class="%s" %s d="`, class, marker)
	for i := range len(l.spots) - 1 {
		from, to := l.spots[i], l.spots[i+1]
		x1, x2 := from.leaves(to), to.arrives(from)
		y1, y2 := top(from.row)+boxHeight, top(to.row)
		if i == 0 {
			fmt.Fprintf(b, "M%d %d", x1, y1)
		} else {
			fmt.Fprintf(b, "L%d %d", x1, y1)
		}
		fmt.Fprintf(b, "C%d %d %d %d %d %d", x1, y1+rowGap/2, x2, y2-rowGap/2, x2, y2)
	}
	b.WriteString(`"/>` + "\n")
}

// leaves returns the x at which a way leaves for a spot: ways leave side by side, in the order of
// where they go.
func (s *spot) leaves(to *spot) int { return s.port(to, s.down) }

// arrives returns the x at which a way comes in from a spot.
func (s *spot) arrives(from *spot) int { return s.port(from, s.up) }

func (s *spot) port(other *spot, all []*spot) int {
	if s.node == nil || len(all) < 2 {
		return s.x
	}
	before := 0
	for _, o := range all {
		if o.x < other.x {
			before++
		}
	}
	const most = 40
	step := min(most, s.w/(len(all)+1))
	return s.x + (2*before-len(all)+1)*step/2
}

// labelAt returns where the label of a way stands: on its first part, where ways are apart, with
// neighbours in turn at three heights.
func (l *line) labelAt(place int) (x, y int) {
	first, second := l.spots[0], l.spots[1]
	x1, x2 := first.leaves(second), second.arrives(first)
	down := rowGap/2 + 4 + (place%3-1)*12
	return x1 + (x2-x1)*down/rowGap, top(first.row) + boxHeight + down
}

// drawLabel writes what a way is taken for.
func (l *line) drawLabel(b *strings.Builder, place int) {
	if l.edge.Label == "" {
		return
	}
	x, y := l.labelAt(place)
	fmt.Fprintf(b, `<text class="label" x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", x, y, html.EscapeString(l.edge.Label))
}
