package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"

	"daybreak/pipeline"
)

// registries are all registries that a test can have: the embedded one, the same over HTTP, and that
// of DAYBREAK_TEST_REGISTRY (`make real` starts an Apicurio).
func registries(t *testing.T) map[string]Registry {
	t.Helper()
	server := httptest.NewServer(NewEmbeddedRegistry(newShelf()).Handler(slog.New(slog.DiscardHandler)))
	t.Cleanup(server.Close)
	all := map[string]Registry{"embedded": NewEmbeddedRegistry(newShelf())}
	urls := map[string]string{"http": server.URL}
	if named := os.Getenv("DAYBREAK_TEST_REGISTRY"); named != "" {
		urls["named"] = named
	}
	for name, url := range urls {
		r, err := NewRemoteRegistry(url)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = r
	}
	return all
}

// TestRegistriesAgree is what every registry must do.
func TestRegistriesAgree(t *testing.T) {
	t.Parallel()
	for name, r := range registries(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			subject := func(text string) Subject {
				return Subject{Name: "test.agree-value", Compatibility: FullTransitive, Schema: text}
			}
			if all, err := r.Versions(ctx, "test.agree-value"); err != nil || len(all) != 0 {
				t.Fatalf("Versions(unknown subject) = %v, %v, want none", all, err)
			}
			if _, err := r.SchemaByID(ctx, 1_000_000_000); !errors.Is(err, pipeline.ErrNotFound) {
				t.Errorf("SchemaByID(unknown) = %v, want ErrNotFound", err)
			}
			one, two := record(decimalField(38, 12)), record(decimalField(38, 12), note)
			first, err := r.Register(ctx, subject(one))
			if err != nil {
				t.Fatal(err)
			}
			second, err := r.Register(ctx, subject(two))
			if err != nil || second == first {
				t.Fatalf("Register(second version) = %d, %v, want another id than %d", second, err, first)
			}
			if again, err := r.Register(ctx, subject(one)); err != nil || again != first {
				t.Errorf("Register(first version again) = %d, %v, want %d", again, err, first)
			}
			if _, err := r.Register(ctx, subject(record(decimalField(38, 10)))); !errors.Is(err, ErrIncompatible) {
				t.Errorf("Register(another scale) = %v, want ErrIncompatible", err)
			}
			if text, err := r.SchemaByID(ctx, first); err != nil || !sameSchema(text, one) {
				t.Errorf("SchemaByID(%d) = %s, %v, want %s", first, text, err, one)
			}
			if all, err := r.Versions(ctx, "test.agree-value"); err != nil || len(all) != 2 || all[0].ID != first || all[1].ID != second {
				t.Errorf("Versions = %v, %v, want ids %d and %d", all, err, first, second)
			}
		})
	}
}

// newerFill is the schema of executions with a field more and one less, as a later build may have it.
func newerFill() string {
	text := strings.Replace(fillText(), `{"name": "text",`, `{"name": "capacity", "type": "string", "default": "agency"}, {"name": "note", "aliases": ["text"],`, 1)
	return strings.Replace(text, `    {"name": "venue", "type": "string", "default": ""},`+"\n", "", 1)
}

func fillText() string { return mustSubject(fillFile).Schema }

// TestOlderAndNewerSideBySide has producers of two versions write to one stream, and consumers of
// both read all of it.
func TestOlderAndNewerSideBySide(t *testing.T) {
	t.Parallel()
	for name, r := range registries(t) {
		t.Run(name, func(t *testing.T) {
			older, err := NewFillCodec(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			s := mustSubject(fillFile)
			s.Schema = newerFill()
			id, err := r.Register(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			type newer struct {
				wireFill
				Note     string `avro:"note"`
				Capacity string `avro:"capacity"`
			}
			schema := avro.MustParse(s.Schema, rawDecimals)
			read := newReaders(r, schema)

			want := sampleFill()
			old, err := older.Encode(want)
			if err != nil {
				t.Fatal(err)
			}
			var wire newer
			how, body, err := read.open(old)
			if err != nil {
				t.Fatal(err)
			}
			if err := how.decode(body, &wire); err != nil || wire.Capacity != "agency" || wire.Note != want.Text || wire.ExecID != want.ExecID {
				t.Errorf("the newer consumer reads an older record as %+v, %v", wire, err)
			}
			wire.Capacity = "principal"
			young, err := writer{schema, id}.appendRecord(&wire)
			if err != nil {
				t.Fatal(err)
			}
			got, err := older.Decode(young)
			want.Venue, want.Text = "", "" // the newer one has no venue, and calls the text a note
			if err != nil || got != want {
				t.Errorf("the older consumer reads a newer record as %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

func TestDecodeAsksTheRegistryOnce(t *testing.T) {
	t.Parallel()
	s := newShelf()
	c, err := NewFillCodec(t.Context(), NewEmbeddedRegistry(s))
	if err != nil {
		t.Fatal(err)
	}
	value, err := c.Encode(sampleFill())
	if err != nil {
		t.Fatal(err)
	}
	s.fail = errors.New("registry is away")
	var bad *pipeline.BadRecord
	if _, err := c.Decode(value); err == nil || errors.As(err, &bad) {
		t.Errorf("Decode without a registry = %v, want an error that is no BadRecord: the batch waits", err)
	}
	s.fail = nil
	for range 3 {
		if _, err := c.Decode(value); err != nil {
			t.Error(err)
		}
	}
	stranger := bytes.Clone(value)
	for id := range uint32(readersMax + 10) {
		binary.BigEndian.PutUint32(stranger[1:], 100+id%7)
		if _, err := c.Decode(stranger); !errors.As(err, &bad) || bad.Reason != "UNKNOWN_SCHEMA" {
			t.Fatalf("Decode(unknown id) = %v, want UNKNOWN_SCHEMA", err)
		}
	}
	if s.asked != 2+7 {
		t.Errorf("the registry was asked %d times, want 9: once without an answer, once for the schema, and for 7 unknown ids", s.asked)
	}
	for id := range uint32(2 * readersMax) {
		binary.BigEndian.PutUint32(stranger[1:], 100+id)
		_, _ = c.Decode(stranger)
	}
	if n := len(c.(fillCodec).readers.known); n > readersMax {
		t.Errorf("%d readers are kept, want at most %d", n, readersMax)
	}
}

// TestDecodeRefusesARescaledSchema: another registry may hand out a schema that our gate never saw.
func TestDecodeRefusesARescaledSchema(t *testing.T) {
	t.Parallel()
	s := newShelf()
	c, err := NewFillCodec(t.Context(), NewEmbeddedRegistry(s))
	if err != nil {
		t.Fatal(err)
	}
	value, err := c.Encode(sampleFill())
	if err != nil {
		t.Fatal(err)
	}
	s.texts = append(s.texts, strings.ReplaceAll(fillText(), `"scale": 12`, `"scale": 8`))
	binary.BigEndian.PutUint32(value[1:], 2)
	var bad *pipeline.BadRecord
	if _, err := c.Decode(value); !errors.As(err, &bad) || bad.Reason != "UNKNOWN_SCHEMA" {
		t.Errorf("Decode(record of another scale) = %v, want UNKNOWN_SCHEMA", err)
	}
}

func TestRegistryServerAnswers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(NewEmbeddedRegistry(newShelf()).Handler(slog.New(slog.DiscardHandler)))
	defer server.Close()
	post := func(schema string) string { return fmt.Sprintf(`{"schema":%q}`, schema) }
	tests := []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/subjects", "", 200, "[]"},
		{"GET", "/subjects/a/versions", "", 404, `"error_code":40401`},
		{"POST", "/subjects/a/versions", post(record(idField)), 200, `{"id":1}`},
		{"POST", "/subjects/a/versions", post(record(idField, noDefault)), 409, "reader field has no default"},
		{"POST", "/subjects/a/versions", post("{"), 422, `"error_code":42201`},
		{"POST", "/subjects/a/versions", "{", 422, `"error_code":42200`},
		{"POST", "/subjects/a/versions", `{"schema":"{}","schemaType":"JSON"}`, 422, `"error_code":42201`},
		{"POST", "/compatibility/subjects/a/versions/latest", post(record(idField, noDefault)), 200, `"is_compatible":false`},
		{"POST", "/compatibility/subjects/a/versions/latest", post(record(idField, note)), 200, `"is_compatible":true`},
		{"PUT", "/config/a", `{"compatibility":"FORWARD"}`, 200, "FORWARD"},
		{"PUT", "/config/a", `{"compatibility":"SOMETIMES"}`, 422, `"error_code":42203`},
		{"GET", "/config/a", "", 200, `{"compatibilityLevel":"FORWARD"}`},
		{"GET", "/config", "", 200, `{"compatibilityLevel":"FULL_TRANSITIVE"}`},
		{"POST", "/subjects/a/versions", post(record(idField, noDefault)), 200, `{"id":2}`},
		{"POST", "/subjects/b/versions", post(record(idField)), 200, `{"id":1}`},
		{"GET", "/subjects", "", 200, `["a","b"]`},
		{"GET", "/subjects/a/versions", "", 200, "[1,2]"},
		{"GET", "/subjects/a/versions/latest", "", 200, `"version":2`},
		{"GET", "/subjects/a/versions/9", "", 404, `"error_code":40402`},
		{"GET", "/subjects/a/versions/x", "", 422, `"error_code":42202`},
		{"POST", "/subjects/a", post(record(idField)), 200, `"version":1`},
		{"POST", "/subjects/a", post(record(note)), 404, `"error_code":40403`},
		{"GET", "/schemas/ids/2", "", 200, "schema"},
		{"GET", "/schemas/ids/7", "", 404, `"error_code":40403`},
		{"GET", "/schemas/ids/1/versions", "", 200, `[{"subject":"a","version":1},{"subject":"b","version":1}]`},
		{"DELETE", "/subjects/a", "", 405, ""},
	}
	for _, tt := range tests {
		status, body := request(t, tt.method, server.URL+tt.path, tt.body)
		if status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s %s %s = %d %s, want %d %s", tt.method, tt.path, tt.body, status, body, tt.status, tt.want)
		}
	}
}

func request(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}
