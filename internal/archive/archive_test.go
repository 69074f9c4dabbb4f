package archive

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"daybreak/market"
	"daybreak/pipeline/engine"
)

// fakeS3 is as much of an object store as a vault asks for.
type fakeS3 struct {
	mu      sync.Mutex
	objects map[string][]byte
	parts   map[string]map[string][]byte
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		f.parts[r.URL.Path] = map[string][]byte{}
		fmt.Fprint(w, `<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>`)
	case r.Method == http.MethodPost:
		var done struct {
			Part []struct{ PartNumber string }
		}
		_ = xml.Unmarshal(body, &done)
		var whole []byte
		for _, p := range done.Part {
			whole = append(whole, f.parts[r.URL.Path][p.PartNumber]...)
		}
		f.objects[r.URL.Path] = whole
		fmt.Fprint(w, `<CompleteMultipartUploadResult><Bucket>firm</Bucket><ETag>"e"</ETag></CompleteMultipartUploadResult>`)
	case r.Method == http.MethodPut && q.Has("partNumber"):
		f.parts[r.URL.Path][q.Get("partNumber")] = unchunked(r, body)
		w.Header().Set("ETag", `"e"`)
	case r.Method == http.MethodPut:
		f.objects[r.URL.Path] = unchunked(r, body)
		w.Header().Set("ETag", `"e"`)
	default:
		f.get(w, r)
	}
}

func (f *fakeS3) get(w http.ResponseWriter, r *http.Request) {
	object, ok := f.objects[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `<Error><Code>NoSuchKey</Code></Error>`)
		return
	}
	w.Header().Set("ETag", `"e"`)
	http.ServeContent(w, r, "", time.Unix(1_700_000_000, 0), bytes.NewReader(object))
}

// unchunked takes the signatures out of a body that was streamed.
func unchunked(r *http.Request, body []byte) []byte {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING") {
		return body
	}
	var whole []byte
	for {
		head, rest, ok := bytes.Cut(body, []byte("\r\n"))
		var size int
		if _, err := fmt.Sscanf(string(head), "%x", &size); !ok || err != nil || size == 0 {
			return whole
		}
		whole, body = append(whole, rest[:size]...), rest[size+2:]
	}
}

const testDay = market.Day(20_000)

// testLines are more than one group of rows holds.
func testLines() []engine.ArchivedLine {
	var all []engine.ArchivedLine
	for i := range 40 {
		all = append(all, engine.ArchivedLine{Topic: "t", Partition: 3, Line: engine.Line{Day: testDay, Batch: int64(i / 2), Line: i % 2, LastOffset: -1,
			Definition: 7, Worker: "w", At: time.UnixMicro(int64(i) + 1).UTC(), Instances: 2, Body: bytes.Repeat([]byte{byte(i), byte(i * 7)}, 200_000)}})
	}
	return all
}

func testFinished() []engine.Finished {
	var all []engine.Finished
	for i := range 20_000 {
		f := engine.Finished{Day: testDay, ID: fmt.Sprintf("i%06d", i), Household: "H", Definition: 7, State: engine.StateDone, Node: "end",
			Batches: []int64{int64(i)}, Started: time.UnixMicro(5).UTC(), Finished: time.UnixMicro(9).UTC()}
		if i%3 == 0 {
			f.Acts = []int64{4, 5}
		}
		all = append(all, f)
	}
	return all
}

func eachOf[T any](all []T) func(func(T) error) error {
	return func(yield func(T) error) error {
		for _, v := range all {
			if err := yield(v); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestVaultGivesBackWhatItGot(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&fakeS3{objects: map[string][]byte{}, parts: map[string]map[string][]byte{}})
	t.Cleanup(server.Close)
	for _, place := range []string{t.TempDir(), "s3://firm/daybreak"} {
		v, err := Open(place, Endpoint{URL: server.URL, Region: "us-east-1", Key: "k", Secret: "s"})
		if err != nil {
			t.Fatal(err)
		}
		want := engine.NewDigest(testDay)
		for _, l := range testLines() {
			want.Line(l)
		}
		for _, f := range testFinished() {
			want.Finished(f)
		}
		if err := v.WriteLines(t.Context(), testDay, eachOf(testLines())); err != nil {
			t.Fatalf("%s: WriteLines = %v", place, err)
		}
		if err := v.WriteFinished(t.Context(), testDay, eachOf(testFinished())); err != nil {
			t.Fatalf("%s: WriteFinished = %v", place, err)
		}
		if got, err := engine.DigestOf(t.Context(), v, testDay); err != nil || got != want.Sum() {
			t.Errorf("%s: DigestOf = %+v, %v, want %+v", place, got, err, want.Sum())
		}
		var batches []int64
		err = v.EachLine(t.Context(), testDay, []int64{0, 19}, func(l engine.ArchivedLine) error { batches = append(batches, l.Batch); return nil })
		if err != nil || !slices.Equal(batches, []int64{0, 0, 19, 19}) {
			t.Errorf("%s: EachLine(0, 19) = %v, %v, want two lines of each", place, batches, err)
		}
		for id, want := range map[string]int{"i000000": 1, "i019999": 1, "i020000": 0} {
			found := 0
			if err := v.EachFinished(t.Context(), testDay, id, func(engine.Finished) error { found++; return nil }); err != nil || found != want {
				t.Errorf("%s: EachFinished(%s) = %d, %v, want %d", place, id, found, err, want)
			}
		}
	}
}
