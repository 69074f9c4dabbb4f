package postgres_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"daybreak/internal/access"
	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/pipeline"
)

var trailBegan = time.Date(2020, 3, 16, 11, 0, 0, 0, time.UTC)

// trail returns a database with so many rows in its audit trail.
func trail(t *testing.T, rows int) *postgres.DB {
	t.Helper()
	db := pgtest.DB(t)
	for i := range rows {
		err := db.RecordAct(t.Context(), postgres.AuditEntry{At: trailBegan.Add(time.Duration(i) * time.Second), Actor: "ana",
			Action: "order.hold", Subject: "2020-03-16.1", Detail: map[string]any{"comment": "wait <a>", "orders": i}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func TestAuditTakesNoChange(t *testing.T) {
	t.Parallel()
	db := trail(t, 3)
	for _, sql := range []string{
		"UPDATE audit SET actor = 'eve' WHERE id = 2", "DELETE FROM audit WHERE id = 2", "TRUNCATE audit",
		"INSERT INTO audit SELECT 9, at, actor, action, subject, detail, hash, 'x' FROM audit WHERE id = 3",
		"INSERT INTO audit SELECT 4, at, actor, action, subject, detail, 'other', 'x' FROM audit WHERE id = 3",
	} {
		if _, err := db.Pool().Exec(t.Context(), sql); err == nil {
			t.Errorf("the audit trail takes: %s", sql)
		}
	}
	if check, err := db.VerifyAudit(t.Context()); err != nil || !check.OK || check.Checked != 3 {
		t.Errorf("VerifyAudit = %+v, %v, want 3 sound rows", check, err)
	}
}

// TestTamperingIsFound does to the trail what somebody could who may switch its triggers off.
func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, sql, broken string }{
		{"nothing", "", ""},
		{"a changed actor", "UPDATE audit SET actor = 'eve' WHERE id = 3", "row 3"},
		{"a changed action", "UPDATE audit SET action = 'order.release' WHERE id = 3", "row 3"},
		{"a changed subject", "UPDATE audit SET subject = 'x' WHERE id = 3", "row 3"},
		{"a changed instant", "UPDATE audit SET at = at + interval '1 microsecond' WHERE id = 3", "row 3"},
		{"a changed detail", `UPDATE audit SET detail = '{"comment":"ok"}' WHERE id = 3`, "row 3"},
		{"a changed hash", "UPDATE audit SET hash = 'x' WHERE id = 3", "row 3"},
		{"a removed row", "DELETE FROM audit WHERE id = 3", "row 4"},
		{"the first rows removed", "DELETE FROM audit WHERE id < 3", "row 3"},
		{"the last rows removed", "DELETE FROM audit WHERE id > 3", "row 3: the trail ends here, and its head says 5"},
		{"all rows removed", "DELETE FROM audit", "row 0: the trail ends here"},
		{"two rows swapped", "UPDATE audit SET id = CASE id WHEN 2 THEN -3 WHEN 3 THEN -2 END WHERE id IN (2, 3); UPDATE audit SET id = -id WHERE id < 0", "row 2"},
		{"an inserted row", "INSERT INTO audit SELECT 6, at, actor, action, subject, detail, hash, 'made up' FROM audit WHERE id = 5", "row 6"},
		{"a row inserted in between", "UPDATE audit SET id = -id - 1 WHERE id > 3; UPDATE audit SET id = -id WHERE id < 0; " +
			"INSERT INTO audit SELECT 4, at, 'eve', action, subject, detail, hash, 'made up' FROM audit WHERE id = 3", "row 4"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			db := trail(t, 5)
			root, err := db.ExportAudit(t.Context(), func(pipeline.AuditLink) error { return nil })
			if err != nil || root.ID != 5 {
				t.Fatalf("ExportAudit = %+v, %v, want a root at row 5", root, err)
			}
			if _, err := db.Pool().Exec(t.Context(), "ALTER TABLE audit DISABLE TRIGGER USER; "+tc.sql); err != nil {
				t.Fatal(err)
			}
			check, err := db.VerifyAudit(t.Context(), root)
			if err != nil || check.OK != (tc.broken == "") || !strings.Contains(strings.Join(check.Broken, "\n"), tc.broken) {
				t.Errorf("VerifyAudit = %+v, %v, want %q broken", check, err, tc.broken)
			}
		})
	}
}

func TestRootsThatWereKept(t *testing.T) {
	t.Parallel()
	db := trail(t, 4)
	var roots []pipeline.AuditRoot
	_, err := db.ExportAudit(t.Context(), func(l pipeline.AuditLink) error {
		roots = append(roots, pipeline.AuditRoot{ID: l.ID, Hash: l.Hash})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if check, err := db.VerifyAudit(t.Context(), roots...); err != nil || !check.OK {
		t.Errorf("VerifyAudit(all roots) = %+v, %v, want them found", check, err)
	}
	for _, root := range []pipeline.AuditRoot{{ID: 2, Hash: "x"}, {ID: 5, Hash: roots[3].Hash}} {
		if check, err := db.VerifyAudit(t.Context(), root); err != nil || check.OK {
			t.Errorf("VerifyAudit(%+v) = %+v, %v, want it broken", root, check, err)
		}
	}
}

func TestAuditPages(t *testing.T) {
	t.Parallel()
	db := trail(t, 5)
	ida := access.With(t.Context(), &access.Person{Name: "ida", Via: "token 7"})
	if err := db.RecordAct(ida, postgres.AuditEntry{At: trailBegan, Actor: "ben", Action: "kill.switch", Subject: "firm"}); err != nil {
		t.Fatal(err)
	}
	from, to := trailBegan.Add(time.Second), trailBegan.Add(3*time.Second)
	for _, tc := range []struct {
		name string
		q    pipeline.AuditQuery
		want []int64
	}{
		{"the newest", pipeline.AuditQuery{Limit: 2}, []int64{6, 5}},
		{"before a row", pipeline.AuditQuery{Before: 3, Limit: 9}, []int64{2, 1}},
		{"an actor", pipeline.AuditQuery{Actor: "ben", Limit: 9}, []int64{6}},
		{"the beginning of an action", pipeline.AuditQuery{Action: "kill.", Limit: 9}, []int64{6}},
		{"a pattern is no pattern", pipeline.AuditQuery{Action: "%", Limit: 9}, nil},
		{"a subject", pipeline.AuditQuery{Subject: "firm", Limit: 9}, []int64{6}},
		{"a time", pipeline.AuditQuery{From: &from, To: &to, Limit: 9}, []int64{3, 2}},
	} {
		links, err := db.Audit(t.Context(), tc.q)
		if err != nil || len(links) != len(tc.want) {
			t.Errorf("%s: Audit = %d rows, %v, want %v", tc.name, len(links), err, tc.want)
			continue
		}
		for i, l := range links {
			if l.ID != tc.want[i] {
				t.Errorf("%s: row %d is %d, want %d", tc.name, i, l.ID, tc.want[i])
			}
		}
	}
	links, err := db.Audit(t.Context(), pipeline.AuditQuery{Actor: "ben", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	var detail struct{ Via, By string }
	if err := json.Unmarshal(links[0].Detail, &detail); err != nil || detail.Via != "token 7" || detail.By != "ida" {
		t.Errorf("detail = %s, want that ida did it by token 7 on ben's behalf", links[0].Detail)
	}
}
