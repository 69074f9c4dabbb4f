package workflow

import "testing"

func TestDefinitions(t *testing.T) {
	t.Parallel()
	for _, name := range Definitions() {
		data, _ := Document(name)
		d, problems := Parse(data, Builtin())
		for _, p := range problems {
			t.Errorf("%s.json:%s", name, p)
		}
		if d == nil {
			continue
		}
		if d.Name != name {
			t.Errorf("%s.json has the name %q", name, d.Name)
		}
	}
}
