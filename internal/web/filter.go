package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"daybreak/money"
	"daybreak/pipeline"
)

// filterMax bounds the values of one field, and valueMax the length of one.
const (
	filterMax = 500
	valueMax  = 100
)

// field is one field of a filter: its name in the address and in expressions, its words, and where
// its values are.
type field struct {
	key    string // in the address, and the facet
	name   string // in an expression
	label  string
	values func(f *pipeline.OrderFilter) *[]string
}

// fields are the fields of a filter that hold lists of values, in the order of the page.
var fields = []field{
	{"state", "status", "State", func(f *pipeline.OrderFilter) *[]string { return &f.States }},
	{"side", "side", "Side", func(f *pipeline.OrderFilter) *[]string { return &f.Sides }},
	{"region", "region", "Region", func(f *pipeline.OrderFilter) *[]string { return &f.Regions }},
	{"currency", "currency", "Currency", func(f *pipeline.OrderFilter) *[]string { return &f.Currencies }},
	{"reason", "reason", "Reason", func(f *pipeline.OrderFilter) *[]string { return &f.Reasons }},
	{"symbol", "security", "Security", func(f *pipeline.OrderFilter) *[]string { return &f.Symbols }},
	{"account", "account", "Account", func(f *pipeline.OrderFilter) *[]string { return &f.Accounts }},
	{"id", "id", "Order", func(f *pipeline.OrderFilter) *[]string { return &f.IDs }},
}

// readFilter reads the filter of an address, or of a form. Values come sorted, each once, so that
// the same filter has one address.
func readFilter(form url.Values) (pipeline.OrderFilter, error) {
	var f pipeline.OrderFilter
	for _, d := range fields {
		var values []string
		for _, v := range form[d.key] {
			v = strings.TrimSpace(v)
			if d.key == "symbol" || d.key == "id" {
				v = strings.ToUpper(v)
			}
			if v == "" {
				continue
			}
			if len(v) > valueMax || !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return f, refused{http.StatusBadRequest, "The filter holds a value that cannot be one."}
			}
			values = append(values, v)
		}
		if len(values) > filterMax {
			return f, refused{http.StatusBadRequest, "The filter holds too many values."}
		}
		slices.Sort(values)
		*d.values(&f) = slices.Compact(values)
	}
	if text := strings.NewReplacer(",", "", " ", "", "_", "").Replace(form.Get("min")); text != "" {
		least, err := money.Parse(text)
		if err != nil || least.Sign() < 0 {
			return f, refused{http.StatusBadRequest, "The least notional is not a number: " + form.Get("min")}
		}
		f.NotionalMin = least
	}
	return f, nil
}

// filterValues is the reverse of readFilter.
func filterValues(f pipeline.OrderFilter) url.Values {
	form := url.Values{}
	for _, d := range fields {
		if values := *d.values(&f); len(values) > 0 {
			form[d.key] = slices.Clone(values)
		}
	}
	if !f.NotionalMin.IsZero() {
		form.Set("min", f.NotionalMin.String())
	}
	return form
}

// errQuote is returned where a text cannot be written as a literal.
var errQuote = errors.New("not valid UTF-8")

// quote writes a text as a string literal of the Common Expression Language: quotes, backslashes
// and everything that is not plain are escaped, so that no text can end the literal.
func quote(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errQuote
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r < 0x7f:
			b.WriteRune(r)
		default:
			const digits = "0123456789abcdef"
			b.WriteString(`\U`)
			for shift := 28; shift >= 0; shift -= 4 {
				b.WriteByte(digits[r>>shift&0xf])
			}
		}
	}
	b.WriteByte('"')
	return b.String(), nil
}

// where writes a filter as an expression, which the commands take as --where; "" matches every
// order. It says the same as the filter: a test runs both.
func where(f pipeline.OrderFilter) (string, error) {
	var terms []string
	for _, d := range fields {
		var literals []string
		for _, v := range *d.values(&f) {
			literal, err := quote(v)
			if err != nil {
				return "", err
			}
			literals = append(literals, literal)
		}
		switch len(literals) {
		case 0:
		case 1:
			terms = append(terms, d.name+" == "+literals[0])
		default:
			terms = append(terms, d.name+" in ["+strings.Join(literals, ", ")+"]")
		}
	}
	if !f.NotionalMin.IsZero() {
		terms = append(terms, `notional >= dec("`+f.NotionalMin.String()+`")`)
	}
	return strings.Join(terms, " && "), nil
}

// chip is one chosen value of a filter, with the address that takes it off.
type chip struct {
	Label string
	Value string
	Off   string
}

// list is where a person is in a run's orders: everything of it is in the address.
type list struct {
	run    string
	filter pipeline.OrderFilter
	sort   pipeline.OrderSort
	down   bool
	open   string // the order in the side panel
}

// readList reads a list from the address of a page. The largest orders come first where the address
// says nothing.
func readList(run string, form url.Values) (list, error) {
	f, err := readFilter(form)
	if err != nil {
		return list{}, err
	}
	l := list{run: run, filter: f, sort: pipeline.ByNotional, down: true, open: form.Get("order")}
	if by := form.Get("sort"); by != "" {
		name, down := strings.CutPrefix(by, "-")
		l.sort, l.down = pipeline.OrderSort(name), down
		if l.sort != pipeline.ByNotional && l.sort != pipeline.BySymbol && l.sort != pipeline.ByAccount {
			return l, refused{http.StatusBadRequest, "Orders cannot be sorted by " + strconv.Quote(name) + "."}
		}
	}
	return l, nil
}

// address returns the list's own address; change may alter a copy of it first.
func (l list) address(change func(*list)) string {
	return l.path("/runs/"+url.PathEscape(l.run)+"/orders", change, nil)
}

func (l list) path(base string, change func(*list), more url.Values) string {
	if change != nil {
		change(&l)
	}
	form := filterValues(l.filter)
	if l.sort != pipeline.ByNotional || !l.down {
		by := string(l.sort)
		if l.down {
			by = "-" + by
		}
		form.Set("sort", by)
	}
	if l.open != "" {
		form.Set("order", l.open)
	}
	for k, v := range more {
		form[k] = v
	}
	if len(form) == 0 {
		return base
	}
	return base + "?" + form.Encode()
}

// toggled returns the address with a value of a field put on or taken off.
func (l list) toggled(d field, value string) string {
	return l.address(func(c *list) {
		c.open = ""
		values := d.values(&c.filter)
		if i, on := slices.BinarySearch(*values, value); on {
			*values = slices.Delete(slices.Clone(*values), i, i+1)
		} else {
			*values = slices.Insert(slices.Clone(*values), i, value)
		}
	})
}

// wordOf returns a value of a field as people read it.
func wordOf(d field, value string) string {
	switch d.key {
	case "reason":
		return reasonTitle(value)
	case "side":
		return sideWord(value)
	}
	return value
}

// chips are the chosen values, in the order of the fields.
func (l list) chips() []chip {
	var all []chip
	for _, d := range fields {
		for _, v := range *d.values(&l.filter) {
			all = append(all, chip{d.label, wordOf(d, v), l.toggled(d, v)})
		}
	}
	if !l.filter.NotionalMin.IsZero() {
		all = append(all, chip{"Notional", "≥ " + grouped(l.filter.NotionalMin.String()),
			l.address(func(c *list) { c.filter.NotionalMin = money.Zero })})
	}
	return all
}

// sorted returns the address sorted by a column; a second time turns the order around.
func (l list) sorted(by pipeline.OrderSort) string {
	return l.address(func(c *list) {
		c.down = by == pipeline.ByNotional
		if l.sort == by {
			c.down = !l.down
		}
		c.sort = by
	})
}
