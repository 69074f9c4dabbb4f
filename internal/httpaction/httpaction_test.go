package httpaction

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"daybreak/pipeline/engine"
	"daybreak/workflow"
)

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	ours := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	for _, c := range []struct {
		address string
		want    bool
	}{
		{"93.184.215.14:443", true}, {"[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:443", true},
		{"10.1.255.255:80", true}, {"10.2.0.0:80", false}, {"10.0.255.255:80", false},
		{"127.0.0.1:80", false}, {"[::1]:80", false}, {"[::ffff:127.0.0.1]:80", false}, {"[::ffff:10.1.0.1]:80", true},
		{"169.254.169.254:80", false}, {"[fe80::1%eth0]:80", false}, {"172.16.0.1:80", false}, {"172.32.0.1:80", true},
		{"192.168.1.1:80", false}, {"100.64.0.1:80", false}, {"100.63.255.255:80", true}, {"100.128.0.0:80", true}, {"0.0.0.0:80", false},
		{"224.0.0.1:80", false}, {"255.255.255.255:80", false}, {"[fc00::1]:80", false}, {"[64:ff9b::7f00:1]:80", false}, {"[2002:7f00:1::]:80", false},
		{"[::]:80", false}, {"localhost:80", false},
	} {
		if err := checkAddress(c.address, ours); (err == nil) != c.want {
			t.Errorf("checkAddress(%s) = %v, want allowed %v", c.address, err, c.want)
		}
	}
}

const testDocument = `{"openapi": "3.0.3", "paths": {
 "/one": {"post": {"operationId": "one", "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ask"}}}},
   "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}}}}},
 "/many": {"post": {"operationId": "many", "requestBody": {"content": {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Keyed"}}}}},
   "responses": {"200": {"content": {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Answer"}}}}}}}},
 "/unkeyed": {"post": {"operationId": "unkeyed", "requestBody": {"content": {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Ask"}}}}},
   "responses": {"200": {"content": {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Answer"}}}}}}}},
 "/circle": {"post": {"operationId": "circle", "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Circle"}}}},
   "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}}}}}},
 "components": {"schemas": {
  "Ask": {"type": "object", "title": "Ask", "properties": {"title": {"type": "string"}}, "required": ["title"]},
  "Keyed": {"type": "object", "properties": {"title": {"type": "string"}, "idempotency_key": {"type": "string"}}, "required": ["title", "idempotency_key"]},
  "Circle": {"type": "object", "properties": {"in": {"$ref": "#/components/schemas/Circle"}}},
  "Answer": {"type": "object", "properties": {"echo": {"type": "string"}}, "required": ["echo"]}}}}`

// services writes a file of one service and returns what Load says about it.
func services(t *testing.T, url, networks, actions string) (engine.Registry, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), []byte(testDocument), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "services.yaml")
	text := fmt.Sprintf("kind: Services\nspec:\n- name: test\n  url: %s\n  openapi: openapi.json\n  networks: [%s]\n  token_env: TOKEN\n  actions:\n%s", url, networks, actions)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(file, func(string) string { return "secret" })
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	const good = "  - {name: test.one, operation: one, effect: read}\n"
	for _, c := range []struct{ name, url, networks, actions, want string }{
		{"http to anywhere", "http://example.com", "", good, "want https"},
		{"a user in the url", "https://me@example.com", "", good, "is not https://HOST"},
		{"a network that is none", "https://example.com", "10.1", good, "is not like"},
		{"an operation that is not there", "https://example.com", "", "  - {name: test.two, operation: two, effect: read}\n", `no operation "two"`},
		{"bulk of what takes one", "https://example.com", "", "  - {name: test.one, operation: one, effect: read, bulk: 2}\n", "does not take a list"},
		{"bulk beyond the most", "https://example.com", "", "  - {name: test.many, operation: many, effect: read, bulk: 501}\n", "want 1 to 500"},
		{"a write for many without keys", "https://example.com", "", "  - {name: test.many, operation: unkeyed, effect: write, bulk: 2}\n", keyField},
		{"a schema in a circle", "https://example.com", "", "  - {name: test.one, operation: circle, effect: read}\n", "in a circle"},
		{"an effect that is none", "https://example.com", "", "  - {name: test.one, operation: one, effect: odd}\n", "effect"},
		{"the same name twice", "https://example.com", "", good + good, "there twice"},
		{"a field that is unknown", "https://example.com", "", "  - {name: test.one, operation: one, efect: read}\n", "efect"},
	} {
		if _, err := services(t, c.url, c.networks, c.actions); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Load() = %v, want %q", c.name, err, c.want)
		}
	}
}

// call makes calls of the only action of a service that a handler plays.
func call(t *testing.T, h http.HandlerFunc, action string, calls ...engine.Call) []engine.Reply {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	registry, err := services(t, server.URL, "127.0.0.0/8", "  - "+action+"\n")
	if err != nil {
		t.Fatal(err)
	}
	for i := range calls {
		calls[i].Deadline, calls[i].Epoch = time.Now().Add(time.Second), 7
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for _, bound := range registry {
		return bound.Do.Do(ctx, calls)
	}
	return nil
}

const (
	one  = "{name: test.one, operation: one, effect: write}"
	many = "{name: test.many, operation: many, effect: write, bulk: 500}"
)

func TestWriteCarriesItsHeaders(t *testing.T) {
	t.Parallel()
	replies := call(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, err := time.Parse(time.RFC3339Nano, r.Header.Get(headerDeadline))
		echo := fmt.Sprintf("%s %s %s %v %s", r.Header.Get(headerKey), r.Header.Get(headerEpoch), r.Header.Get("Authorization"), err == nil, body)
		_ = json.NewEncoder(w).Encode(map[string]string{"echo": echo})
	}, one, engine.Call{Key: "k1", Request: []byte(`{"title":"x"}`)})
	want := `{"echo":"k1 7 Bearer secret true {\"title\":\"x\"}"}`
	if got := string(replies[0].Response); got != want {
		t.Errorf("a write arrives as %s (%+v), want %s", got, replies[0].Failure, want)
	}
}

func TestManyInOneRequest(t *testing.T) {
	t.Parallel()
	requests := 0
	replies := call(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		var parts []map[string]string
		_ = json.NewDecoder(r.Body).Decode(&parts)
		var answers []any
		for _, p := range parts {
			if p["title"] == "bad" {
				answers = append(answers, map[string]any{"error": map[string]string{"code": "NO_PRICE", "message": "none"}})
				continue
			}
			answers = append(answers, map[string]string{"echo": p["idempotency_key"] + p["title"]})
		}
		_ = json.NewEncoder(w).Encode(answers)
	}, many, engine.Call{Key: "k1", Request: []byte(`{"title":"x"}`)}, engine.Call{Key: "k2", Request: []byte(`{"title":"bad"}`)}, engine.Call{Key: "k3", Request: []byte(`{"title":"z"}`)})
	if requests != 1 || string(replies[0].Response) != `{"echo":"k1x"}` || replies[1].Failure.Code != "NO_PRICE" || string(replies[2].Response) != `{"echo":"k3z"}` {
		t.Errorf("%d requests, replies %+v, want one request and three answers in order", requests, replies)
	}
}

func TestBadAnswers(t *testing.T) {
	t.Parallel()
	status := func(n int) http.HandlerFunc { return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) } }
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		action  string
		want    string
	}{
		{"server's fault", status(500), one, workflow.CodeUnavailable},
		{"too many requests", status(429), one, workflow.CodeUnavailable},
		{"refused", status(422), one, CodeRefused},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, one, workflow.CodeBadResponse},
		{"no body", status(204), one, workflow.CodeBadResponse},
		{"no JSON", body("hello"), one, workflow.CodeBadResponse},
		{"of another type", body(`{"echo":1}`), one, workflow.CodeBadResponse},
		{"a body without end", func(w http.ResponseWriter, _ *http.Request) {
			for range 40 {
				_, _ = w.Write(make([]byte, 64<<10))
			}
		}, one, workflow.CodeBadResponse},
		{"a slow body", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"ec`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, one, workflow.CodeTimeout},
		{"too few answers", body(`[]`), many, workflow.CodeBadResponse},
		{"no list", body(`{"echo":"x"}`), many, workflow.CodeBadResponse},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := call(t, c.handler, c.action, engine.Call{Request: []byte(`{"title":"x"}`)}); got[0].Failure.Code != c.want {
				t.Errorf("%s: reply %+v, want %s", c.name, got[0], c.want)
			}
		})
	}
}

func TestPrivateAddressIsRefusedAtTheConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the service was reached") }))
	defer server.Close()
	client := newClient(nil)
	for _, name := range []string{server.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)} {
		if _, err := client.Get(name); err == nil || !strings.Contains(err.Error(), ErrAddress.Error()) {
			t.Errorf("Get(%s) = %v, want ErrAddress", name, err)
		}
	}
}
