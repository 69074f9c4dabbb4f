package engine

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func entryGen() *rapid.Generator[Entry] {
	return rapid.Custom(func(t *rapid.T) Entry {
		optional := func(name string) []byte {
			b := []byte(rapid.StringN(0, 40, 200).Draw(t, name))
			if len(b) == 0 {
				return nil
			}
			return b
		}
		return Entry{
			Kind:     EntryKind(rapid.IntRange(int(EntryStarted), int(EntrySet)).Draw(t, "kind")),
			Instance: rapid.String().Draw(t, "instance"), Household: rapid.String().Draw(t, "household"), Node: rapid.String().Draw(t, "node"),
			Attempt: rapid.IntRange(0, 1<<31).Draw(t, "attempt"), At: time.UnixMicro(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "at")).UTC(),
			Duration:    time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "duration")) * time.Microsecond,
			RequestHash: rapid.Uint64().Draw(t, "hash"), Response: optional("response"), Code: rapid.String().Draw(t, "code"),
			Next: rapid.String().Draw(t, "next"), Key: rapid.String().Draw(t, "key"), Params: optional("params"), Context: optional("context"),
		}
	})
}

func TestEntriesReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(entryGen(), 1, 5).Draw(t, "entries")
		var body []byte
		for i := range want {
			body = appendEntry(body, &want[i])
		}
		got, err := ReadEntries(body)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("ReadEntries(%d entries) = %+v, %v, want %+v", len(want), got, err, want)
		}
		if _, err := ReadEntries(body[:len(body)-1]); err == nil {
			t.Fatal("ReadEntries(cut off) = nil, want an error")
		}
	})
}

func FuzzReadEntries(f *testing.F) {
	e := Entry{Kind: EntryStep, Instance: "i", Node: "n", Attempt: 1, At: time.Unix(1, 0), Response: []byte("{}"), Next: "m"}
	f.Add(appendEntry(nil, &e))
	f.Add([]byte{byte(EntryStarted), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, body []byte) {
		entries, err := ReadEntries(body)
		if err != nil {
			return
		}
		var again []byte
		for i := range entries {
			again = appendEntry(again, &entries[i])
		}
		if second, err := ReadEntries(again); err != nil || !reflect.DeepEqual(second, entries) {
			t.Errorf("ReadEntries(%x) = %+v, read again %+v, %v", body, entries, second, err)
		}
	})
}

func TestStateReadsBack(t *testing.T) {
	t.Parallel()
	c, err := newCoder([]byte(`{"name":"trade","nodes":{"price":{}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []state{{}, {params: []byte("{}"), context: []byte(`{"a":1}`)}, {context: bytes.Repeat([]byte("x"), 1<<20)}} {
		got, err := c.unpack(c.pack(s))
		if err != nil || !bytes.Equal(got.params, s.params) || !bytes.Equal(got.context, s.context) {
			t.Errorf("unpack(pack(%d, %d bytes)) = %d, %d bytes, %v", len(s.params), len(s.context), len(got.params), len(got.context), err)
		}
	}
	if _, err := c.unpack([]byte("no frame")); err == nil {
		t.Error("unpack(no frame) = nil, want an error")
	}
}
