package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"daybreak/internal/access"
	"daybreak/internal/api"
)

var update = flag.Bool("update", false, "write the golden files")

// golden is the document that is published, for those who generate clients.
const golden = "../../docs/openapi.json"

// document is what the tests read of an OpenAPI document: they know no operation but by it.
type document struct {
	Paths map[string]map[string]struct {
		OperationID string              `json:"operationId"`
		Action      string              `json:"x-action"`
		Responses   map[string]response `json:"responses"`
		RequestBody *struct {
			Content map[string]struct{ Schema json.RawMessage }
		} `json:"requestBody"`
	} `json:"paths"`
}

type response struct {
	Content map[string]struct{ Schema json.RawMessage } `json:"content"`
}

// operation is one operation of the document.
type operation struct {
	id, method, path, action string
	responses                map[string]response
	pointer                  string // to it, in the document
}

func TestOpenAPIIsWhatIsPublished(t *testing.T) {
	text, err := api.New(api.Config{Desk: desk{}}).OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	if *update {
		if err := os.WriteFile(golden, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || !bytes.Equal(pretty.Bytes(), want) {
		t.Errorf("%s is not the document of this build (%v): look at the difference and run the test with -update", golden, err)
	}
}

// operations returns the operations of the published document, by id.
func operations(t testing.TB) []operation {
	t.Helper()
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var all []operation
	for path, methods := range d.Paths {
		for method, o := range methods {
			pointer := "/paths/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(path) + "/" + method
			all = append(all, operation{o.OperationID, strings.ToUpper(method), path, o.Action, o.Responses, pointer})
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return all
}

// client calls every operation by the document alone.
type client struct {
	*site
	schemas *jsonschema.Compiler
	values  map[string]string // of parameters in paths
	bodies  map[string]any    // by operation
}

func newClient(s *site) *client {
	s.t.Helper()
	file, err := os.Open(golden)
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	doc, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		s.t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("openapi.json", doc); err != nil {
		s.t.Fatal(err)
	}
	order := scalar[string](s, "SELECT min(id) FROM trade_order WHERE held_by = '' AND exception = '' AND state = 'Proposed'")
	return &client{site: s, schemas: c, values: map[string]string{
		"run": testRun, "order": order, "account": scalar[string](s, "SELECT account FROM trade_order WHERE id = $1", order), "name": "zoe",
		"id": scalar[string](s, "SELECT max(id)::text FROM api_token"), // nobody's
	}, bodies: map[string]any{
		"startRun": map[string]any{"date": "2020-03-17"}, "replayAccount": map[string]any{"run": "2020-03-17.9"},
		"pauseRun": map[string]any{"why": "test"}, "resumeRun": map[string]any{"why": "test"}, "cancelRun": map[string]any{"why": "test"},
		"closeException": map[string]any{"why": "test"}, "setKillSwitch": map[string]any{"active": true, "reason": "test"},
		"approve": map[string]any{"root": "x"}, "savePerson": map[string]any{"roles": []string{"viewer"}, "active": true},
		"createToken": map[string]any{"person": "viewer", "label": "test", "days": 1},
	}}
}

// inPath matches a parameter in the path of an operation.
var inPath = regexp.MustCompile(`\{(\w+)\}`)

func (c *client) do(who string, o operation, headers ...string) reply {
	path := inPath.ReplaceAllStringFunc(o.path, func(p string) string { return c.values[p[1:len(p)-1]] })
	if o.id == "taxReport" {
		path += "?year=2019&account=" + c.values["account"]
	}
	var content any
	if o.method == http.MethodPost || o.method == http.MethodPut {
		if content = c.bodies[o.id]; content == nil {
			content = map[string]any{"comment": "test"}
		}
	}
	return c.call(who, o.method, path, content, headers...)
}

// check fails the test where an answer is not as the document says.
func (c *client) check(o operation, r reply) {
	c.t.Helper()
	if r.status >= 500 {
		c.t.Errorf("%s = %d\n%s", o.id, r.status, r.body)
		return
	}
	name := fmt.Sprint(r.status)
	documented, ok := o.responses[name]
	if !ok {
		c.t.Errorf("%s = %s, want one of %v\n%s", o.id, name, slices.Sorted(maps.Keys(o.responses)), r.body)
		return
	}
	for kind := range documented.Content {
		if got := r.header.Get("Content-Type"); got != kind {
			c.t.Errorf("%s = %d as %s, want %s", o.id, r.status, got, kind)
			return
		}
		schema, err := c.schemas.Compile("openapi.json#" + o.pointer + "/responses/" + name + "/content/" +
			strings.NewReplacer("~", "~0", "/", "~1").Replace(kind) + "/schema")
		if err != nil {
			c.t.Errorf("%s: schema of %s: %v", o.id, name, err)
			return
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(r.body))
		if err == nil {
			err = schema.Validate(value)
		}
		if err != nil {
			c.t.Errorf("%s = %d, not as documented: %v", o.id, r.status, err)
		}
	}
}

// who returns a role that may do an action.
func who(t testing.TB, action string) string {
	t.Helper()
	for _, r := range access.Roles {
		if access.Judge(&access.Person{Roles: []access.Role{r}}, access.Action(action), "") == access.Allowed {
			return string(r)
		}
	}
	t.Fatalf("no role may %q", action)
	return ""
}

// refused are the operations that this morning, or an earlier one of the walk, does not allow.
var refused = map[string]int{"approve": 409, "overrideOrder": 409, "pauseRun": 409, "resumeRun": 409, "replayAccount": 404, "closeException": 404,
	"releaseOrder": 409, "rejectOrder": 409, "holdOrder": 409, "cancelRun": 409, "startRun": 409}

func TestEveryAnswerIsAsDocumented(t *testing.T) {
	t.Parallel()
	c := newClient(open(t))
	for _, o := range operations(t) {
		if o.id == "followEvents" {
			continue
		}
		first := c.do(who(t, o.action), o)
		c.check(o, first)
		if want, ok := refused[o.id]; first.status >= 300 && (!ok || first.status != want) {
			t.Errorf("%s = %d, want it done\n%s", o.id, first.status, first.body)
		}
		saved := c.values
		c.values = map[string]string{"run": "2020-03-17.9", "order": "NONE", "account": "NONE", "id": "99999", "name": "zoe"}
		c.check(o, c.do(who(t, o.action), o))
		c.values = saved
	}
}

func TestEveryOperationNeedsItsRole(t *testing.T) {
	t.Parallel()
	c := newClient(open(t))
	for _, o := range operations(t) {
		c.want(o.id+" of nobody", c.do("", o), http.StatusUnauthorized, api.CodeNobody)
		c.want(o.id+" with a wrong token", c.do("", o, "Authorization", "Bearer dbk_x"), http.StatusUnauthorized, api.CodeNobody)
		c.want(o.id+" of a person without a role", c.do("nobody", o), http.StatusForbidden, api.CodeRole)
		for _, r := range access.Roles {
			if access.Judge(&access.Person{Roles: []access.Role{r}}, access.Action(o.action), "") == access.NotRole {
				answer := c.do(string(r), o)
				c.want(o.id+" of "+string(r), answer, http.StatusForbidden, api.CodeRole)
				c.check(o, answer)
			}
		}
	}
}
