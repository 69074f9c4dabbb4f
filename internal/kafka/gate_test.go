package kafka

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// record returns a schema with the fields, which are JSON after one another.
func record(fields ...string) string {
	return fmt.Sprintf(`{"type":"record","name":"R","namespace":"daybreak","fields":[%s]}`, strings.Join(fields, ","))
}

const (
	idField   = `{"name":"id","type":"string"}`
	note      = `{"name":"note","type":"string","default":""}`
	noDefault = `{"name":"note","type":"string"}`
)

func decimalField(precision, scale int) string {
	return fmt.Sprintf(`{"name":"q","type":{"type":"bytes","logicalType":"decimal","precision":%d,"scale":%d}}`, precision, scale)
}

func typed(name, text string) string { return fmt.Sprintf(`{"name":%q,"type":%s}`, name, text) }

func TestCheckSchema(t *testing.T) {
	one, two := record(idField), record(idField, note)
	tests := []struct {
		name    string
		mode    Compatibility
		earlier []string
		next    string
		ok      bool
	}{
		{"first", FullTransitive, nil, one, true},
		{"same", FullTransitive, []string{one}, one, true},
		{"field with a default", FullTransitive, []string{one}, two, true},
		{"field without one, backward", Backward, []string{one}, record(idField, noDefault), false},
		{"field without one, forward", Forward, []string{one}, record(idField, noDefault), true},
		{"field with a default left out", FullTransitive, []string{two}, one, true},
		{"field without one left out, backward", Backward, []string{record(idField, noDefault)}, one, true},
		{"field without one left out, forward", Forward, []string{record(idField, noDefault)}, one, false},
		{"field without one left out, full", Full, []string{record(idField, noDefault)}, one, false},
		{"only the last version", Backward, []string{one, two}, record(idField, noDefault), true},
		{"all versions", BackwardTransitive, []string{one, two}, record(idField, noDefault), false},
		{"only the last version, forward", Forward, []string{record(idField, noDefault), two}, one, true},
		{"all versions, forward", ForwardTransitive, []string{record(idField, noDefault), two}, one, false},
		{"anything", None, []string{one}, record(noDefault), true},
		{"scale", BackwardTransitive, []string{record(decimalField(38, 12))}, record(decimalField(38, 10)), false},
		{"precision", Backward, []string{record(decimalField(20, 12))}, record(decimalField(38, 12)), false},
		{"decimal to bytes", Backward, []string{record(decimalField(38, 12))}, record(typed("q", `"bytes"`)), false},
		{"bytes to decimal", Backward, []string{record(typed("q", `"bytes"`))}, record(decimalField(38, 12)), false},
		{"day to number", Backward, []string{record(typed("d", `{"type":"int","logicalType":"date"}`))}, record(typed("d", `"int"`)), false},
		{"micros to millis", Backward, []string{record(typed("t", `{"type":"long","logicalType":"timestamp-micros"}`))},
			record(typed("t", `{"type":"long","logicalType":"timestamp-millis"}`)), false},
		{"scale inside a union", Full, []string{record(typed("q", `["null",{"type":"bytes","logicalType":"decimal","precision":38,"scale":12}]`))},
			record(typed("q", `["null",{"type":"bytes","logicalType":"decimal","precision":38,"scale":6}]`)), false},
		{"scale inside an array", Full, []string{record(typed("q", `{"type":"array","items":{"type":"bytes","logicalType":"decimal","precision":38,"scale":12}}`))},
			record(typed("q", `{"type":"array","items":{"type":"bytes","logicalType":"decimal","precision":38,"scale":6}}`)), false},
		{"number made longer, backward", Backward, []string{record(typed("n", `"int"`))}, record(typed("n", `"long"`)), true},
		{"number made longer, full", Full, []string{record(typed("n", `"int"`))}, record(typed("n", `"long"`)), false},
		{"another name", Full, []string{one}, strings.Replace(one, `"R"`, `"S"`, 1), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := CheckSchema(tt.mode, tt.next, tt.earlier)
			if tt.ok && err != nil || !tt.ok && !errors.Is(err, ErrIncompatible) {
				t.Errorf("CheckSchema(%s, %s, %v) = %v, want compatible: %v", tt.mode, tt.next, tt.earlier, err, tt.ok)
			}
		})
	}
	if err := CheckSchema(Full, "{", nil); !errors.Is(err, ErrBadSchema) {
		t.Errorf("CheckSchema(no JSON) = %v, want ErrBadSchema", err)
	}
}

// TestSchemasOfTheFilesKeepTheirPromise is the gate of CI: every version of every schema against all
// versions before it.
func TestSchemasOfTheFilesKeepTheirPromise(t *testing.T) {
	subjects, err := Subjects()
	if err != nil || len(subjects) == 0 {
		t.Fatalf("Subjects() = %d of them, %v", len(subjects), err)
	}
	for _, s := range subjects {
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	}
}
