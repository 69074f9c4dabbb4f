package workflow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Mermaid returns the definition's graph as Mermaid text, for pages and reviews that draw it
// themselves. Calls are boxes, writes have a double border, waits are hexagons and ends round; ways
// that a catcher takes are dotted.
func Mermaid(d *Definition) string {
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	for i := range d.Nodes {
		n := &d.Nodes[i]
		left, right := mermaidShape(n)
		fmt.Fprintf(&b, "  %s%s\"%s\"%s\n", mermaidID(n.Name), left, mermaidText(strings.Join(caption(n), "<br>")), right)
	}
	for i := range d.Nodes {
		for _, e := range d.Nodes[i].Edges() {
			arrow := "-->"
			if e.IsCatch {
				arrow = "-.->"
			}
			if e.Label != "" {
				arrow += `|"` + mermaidText(shortLabel(e)) + `"|`
			}
			fmt.Fprintf(&b, "  %s %s %s\n", mermaidID(e.From), arrow, mermaidID(e.To))
		}
	}
	return b.String()
}

func mermaidShape(n *Node) (left, right string) {
	switch {
	case n.Type == Wait:
		return "{{", "}}"
	case n.Type == Terminal:
		return "([", "])"
	case n.Action.Effect == Write:
		return "[[", "]]"
	}
	return "[", "]"
}

// mermaidID keeps names such as end from being words of the language.
func mermaidID(name string) string { return "n_" + name }

func mermaidText(s string) string {
	return strings.NewReplacer(`"`, "#quot;", "<br>", "<br>", "<", "#lt;", ">", "#gt;").Replace(s)
}

// caption returns the lines that a picture writes into a node: its name and what it does.
func caption(n *Node) []string {
	switch n.Type {
	case Call:
		return []string{n.Name, n.Action.Name}
	case Wait:
		return []string{n.Name, "until " + clipText(n.Until.text(), 36)}
	}
	if n.Status == EndsFailed {
		return []string{n.Name, "failed: " + n.Error}
	}
	return []string{n.Name, "succeeded"}
}

// shortLabel returns what a picture writes at a way: of a comparison with a constant only that.
func shortLabel(e Edge) string {
	label := e.Label
	if _, value, ok := strings.Cut(label, " == '"); ok && strings.Count(label, "'") == 2 && strings.HasSuffix(value, "'") {
		label = strings.TrimSuffix(value, "'")
	}
	return clipText(label, labelMax)
}

// drawing is a layered picture: nodes in rows, ways from row to row. A way that spans rows passes
// places of its own between them.
type drawing struct {
	rows   [][]*spot
	spots  map[string]*spot
	passes map[pass]*spot
	lines  []line
}

// pass is where ways to one node pass a row: they share the place, so that a node that many ways
// lead to has a trunk instead of a fan.
type pass struct {
	to              string
	row             int
	isCatch, isBack bool
}

// spot is a node, or where a way passes a row.
type spot struct {
	node  *Node // nil where a way passes
	row   int
	x, w  int // centre and width
	order int // in its row
	up    []*spot
	down  []*spot
}

// line is one way with the spots that it passes.
type line struct {
	edge   Edge
	spots  []*spot
	isBack bool // it leads upwards
}

// The measures of a picture, in pixels.
const (
	boxHeight  = 44
	rowGap     = 58
	spotGap    = 26
	passWidth  = 14
	charWidth  = 7
	marginSize = 24
	labelMax   = 30 // characters
)

// layOut places the nodes of a definition. It is deterministic: ties go by name.
func layOut(d *Definition) *drawing {
	g := &drawing{spots: map[string]*spot{}, passes: map[pass]*spot{}}
	rows, back := rank(d)
	for i := range d.Nodes {
		n := &d.Nodes[i]
		w := 2 * charWidth
		for _, text := range caption(n) {
			w = max(w, charWidth*len([]rune(text))+2*charWidth)
		}
		g.add(&spot{node: n, row: rows[n.Name], w: w})
	}
	for i := range d.Nodes {
		for _, e := range d.Nodes[i].Edges() {
			g.connect(e, back[[2]string{e.From, e.To}])
		}
	}
	g.order()
	g.place()
	return g
}

func (g *drawing) add(s *spot) *spot {
	for len(g.rows) <= s.row {
		g.rows = append(g.rows, nil)
	}
	s.order = len(g.rows[s.row])
	g.rows[s.row] = append(g.rows[s.row], s)
	if s.node != nil {
		g.spots[s.node.Name] = s
	}
	return s
}

// rank returns the row of each node, so that ways lead down but for those that close a circle: the
// longest way from the start counts.
func rank(d *Definition) (rows map[string]int, back map[[2]string]bool) {
	rows, back = map[string]int{}, map[[2]string]bool{}
	state := map[string]int{} // 1 on the way, 2 done
	var order []string
	var visit func(name string)
	visit = func(name string) {
		state[name] = 1
		for _, to := range targets(d.node(name)) {
			switch {
			case state[to] == 1:
				back[[2]string{name, to}] = true
			case state[to] == 0:
				visit(to)
			}
		}
		state[name] = 2
		order = append(order, name)
	}
	visit(d.Start)
	slices.Reverse(order)
	deepest := 0
	for _, name := range order {
		for _, to := range targets(d.node(name)) {
			if !back[[2]string{name, to}] {
				rows[to] = max(rows[to], rows[name]+1)
				deepest = max(deepest, rows[to])
			}
		}
	}
	return rows, back
}

// connect draws a way through the rows between its ends.
func (g *drawing) connect(e Edge, isBack bool) {
	for i := range g.lines {
		if l := &g.lines[i]; l.edge.From == e.From && l.edge.To == e.To && l.edge.IsCatch == e.IsCatch {
			l.edge.Label += " or " + shortLabel(e)
			return
		}
	}
	e.Label = shortLabel(e)
	from, to := g.spots[e.From], g.spots[e.To]
	if isBack {
		from, to = to, from
	}
	l := line{edge: e, spots: []*spot{from}, isBack: isBack}
	for row := from.row + 1; row < to.row; row++ {
		at := pass{e.To, row, e.IsCatch, isBack}
		if g.passes[at] == nil {
			g.passes[at] = g.add(&spot{row: row, w: passWidth})
		}
		l.spots = append(l.spots, g.passes[at])
	}
	l.spots = append(l.spots, to)
	for i := range len(l.spots) - 1 {
		if above, below := l.spots[i], l.spots[i+1]; !slices.Contains(above.down, below) {
			above.down = append(above.down, below)
			below.up = append(below.up, above)
		}
	}
	g.lines = append(g.lines, l)
}

// order sorts each row by the middle of what its spots are connected to, down and up in turn, and
// keeps the order with the fewest crossings.
func (g *drawing) order() {
	const rounds = 12
	best, orders := g.crossings(), g.orders()
	for round := range rounds {
		for i := range g.rows {
			row, near := i, func(s *spot) []*spot { return s.up }
			if round%2 == 1 {
				row, near = len(g.rows)-1-i, func(s *spot) []*spot { return s.down }
			}
			slices.SortStableFunc(g.rows[row], func(a, b *spot) int { return cmp.Compare(middle(a, near), middle(b, near)) })
			for place, s := range g.rows[row] {
				s.order = place
			}
		}
		if n := g.crossings(); n < best {
			best, orders = n, g.orders()
		}
	}
	for i, row := range orders {
		g.rows[i] = row
		for place, s := range row {
			s.order = place
		}
	}
}

// middle returns a thousand times the mean place of the spots near one, its own where there is none.
func middle(s *spot, near func(*spot) []*spot) int {
	all := near(s)
	if len(all) == 0 {
		return s.order * 1_000
	}
	sum := 0
	for _, other := range all {
		sum += other.order * 1_000
	}
	return sum / len(all)
}

func (g *drawing) orders() [][]*spot {
	var all [][]*spot
	for _, row := range g.rows {
		all = append(all, slices.Clone(row))
	}
	return all
}

func (g *drawing) crossings() int {
	n := 0
	for _, row := range g.rows {
		for i, a := range row {
			for _, b := range row[i+1:] {
				for _, x := range a.down {
					for _, y := range b.down {
						if x.order > y.order {
							n++
						}
					}
				}
			}
		}
	}
	return n
}

// place gives each spot its x: rows are packed, then pulled towards what they are connected to.
func (g *drawing) place() {
	for _, row := range g.rows {
		x := 0
		for _, s := range row {
			s.x = x + s.w/2
			x += s.w + spotGap
		}
	}
	const rounds = 40
	for round := range rounds {
		for i := range g.rows {
			row := g.rows[i]
			if round%2 == 1 {
				row = g.rows[len(g.rows)-1-i]
			}
			pull(row, round%2 == 0)
		}
	}
	left := g.rows[0][0].x
	for _, row := range g.rows {
		for _, s := range row {
			left = min(left, s.x-s.w/2)
		}
	}
	for _, row := range g.rows {
		for _, s := range row {
			s.x += marginSize - left
		}
	}
}

// pull moves the spots of a row to the weighted mean of what they are connected to above or below, and
// apart again where they then overlap, from both sides, taking the mean.
func pull(row []*spot, isDown bool) {
	wanted := make([]int, len(row))
	for i, s := range row {
		near := s.down
		if isDown {
			near = s.up
		}
		wanted[i] = s.x
		sum, weights := 0, 0
		for _, other := range near {
			sum += other.x * stiffness(s, other)
			weights += stiffness(s, other)
		}
		if weights > 0 {
			wanted[i] = sum / weights
		}
	}
	fromLeft, fromRight := slices.Clone(wanted), slices.Clone(wanted)
	for i := 1; i < len(row); i++ {
		fromLeft[i] = max(fromLeft[i], fromLeft[i-1]+apart(row[i-1], row[i]))
	}
	for i := len(row) - 2; i >= 0; i-- {
		fromRight[i] = min(fromRight[i], fromRight[i+1]-apart(row[i], row[i+1]))
	}
	for i, s := range row {
		s.x = (fromLeft[i] + fromRight[i]) / 2
	}
}

// stiffness returns how much two connected spots want to be above each other: where a way passes
// rows it should not bend, and nodes do not lean towards it.
func stiffness(a, b *spot) int {
	switch {
	case a.node == nil && b.node == nil:
		return 16
	case a.node != nil && b.node != nil:
		return 8
	}
	return 1
}

// apart returns how far two neighbours' centres are from each other at least.
func apart(a, b *spot) int { return (a.w+b.w)/2 + spotGap }
