package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
)

// asSample makes a database a sample installation, where --as alone acts, on the machine's clock.
func asSample(t *testing.T, db *postgres.DB) {
	t.Helper()
	now := time.Now()
	if err := db.SetSampleClock(t.Context(), now, now); err != nil {
		t.Fatal(err)
	}
}

// TestCommandsNeedProof sets an installation up from its first administrator on, and has people act by
// their tokens.
func TestCommandsNeedProof(t *testing.T) {
	t.Parallel()
	dsn := proposedRun(t)
	db, err := postgres.Open(t.Context(), dsn, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Pool().Exec(t.Context(), "DELETE FROM sample_clock"); err != nil {
		t.Fatal(err)
	}
	run := func(token, args string, code int, says string) string {
		t.Helper()
		var environ []string
		if token != "" {
			environ = []string{tokenVariable + "=" + token}
		}
		got := commandLine(t.Context(), environ, append(strings.Fields(args), "--database-url", dsn)...)
		if got.code != code || !strings.Contains(got.out+got.err, says) {
			t.Errorf("%s = %+v, want exit code %d and %q", args, got, code, says)
		}
		return strings.TrimSpace(got.out)
	}
	const approve = "order approve --run 2020-03-16.1"
	run("", approve+" --as ana", exitUsage, "--as alone proves nobody")
	run("", "kill --as ana --why test", exitUsage, "--as alone proves nobody")
	run("", "person save root --roles admin --as root", exitOK, "root")
	root := run("", "token create root --label first --as root", exitOK, "dbk_")
	run("", "person save eve --roles admin --as root", exitUsage, "--as alone proves nobody")
	run("", "token create root --label second --as root", exitUsage, "--as alone proves nobody")
	tokens := map[string]string{}
	for name, roles := range map[string]string{"mia": "pm", "ana": "pm", "eve": "viewer", "nora": "pm --books north"} {
		run(root, "person save "+name+" --roles "+roles, exitOK, name)
		tokens[name] = run(root, "token create "+name+" --label test", exitOK, "dbk_")
	}
	run(root, "person save x --roles king", exitUsage, "want some of")
	run(root, "person save x --roles pm --books No,rth", exitUsage, "a book is named")
	run(root, approve, exitFailed, "the role of root, admin, does not allow this")
	run(tokens["eve"], approve, exitFailed, "viewer, does not allow this")
	run(tokens["eve"], "person save eve --roles admin", exitFailed, "does not allow this")
	run(tokens["ana"], approve+" --as ben", exitUsage, "is another person than")
	run(strings.TrimSuffix(tokens["eve"], "eve")+"ana", approve, exitFailed, "nobody's token")
	run(tokens["mia"], approve, exitConflict, "made by mia")
	run(tokens["nora"], approve, exitNotFound, "no order matches")
	run(tokens["nora"], "order list", exitOK, "ID")
	run(tokens["nora"], "run cancel 2020-03-16.1", exitFailed, "about the whole firm")
	run(root, "book move north H1", exitOK, "moved 1 households")
	run(tokens["nora"], approve, exitOK, "approved 1 orders")
	run(tokens["ana"], "order reject --run 2020-03-16.1 --comment no", exitOK, "rejected 1 orders")
	run(tokens["ana"], "kill --why test", exitOK, "is set")
	run(tokens["ana"], "kill --off --why test", exitFailed, "does not allow this")
	run(root, "person save ana --roles pm --inactive", exitOK, "inactive")
	run(tokens["ana"], "order list", exitFailed, "nobody's token")
	run(root, "token revoke 2", exitOK, "")
	run(root, "token revoke 2", exitNotFound, "not found")

	list := run(root, "audit list --action order. -o jsonl", exitOK, `"actor":"nora"`)
	var act struct{ Detail struct{ Via string } }
	if err := json.Unmarshal([]byte(strings.Split(list, "\n")[0]), &act); err != nil || !strings.HasPrefix(act.Detail.Via, "token ") {
		t.Errorf("audit list = %s, %v, want acts by token", list, err)
	}
	exported := commandLine(t.Context(), nil, "audit", "export", "--database-url", dsn)
	kept := strings.TrimSpace(strings.TrimPrefix(exported.err, "root "))
	run("", "audit verify --root "+kept, exitOK, "ok")
	run("", "audit verify --root 1:beef", exitDifferences, "does not have the hash that was kept")
	run("", "audit verify --root nonsense", exitUsage, "want NUMBER:HASH")
}

func TestImportsAreInTheAuditTrail(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	file := filepath.Join("..", "..", "testdata", "market", "securities.csv")
	for range 2 { // the second one changes nothing, and is no act
		if got := commandLine(t.Context(), nil, "import", "securities", file, "--database-url", dsn); got.code != exitOK {
			t.Fatalf("import = %+v", got)
		}
	}
	got := commandLine(t.Context(), nil, "audit", "list", "-o", "jsonl", "--database-url", dsn)
	if lines := strings.Count(got.out, "\n"); got.code != exitOK || lines != 1 || !strings.Contains(got.out, `"action":"import.securities"`) {
		t.Errorf("audit list = %+v, want one import", got)
	}
}

func TestSignOnSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct{ text, says string }{
		"bad.yaml":  {"issuer: http://id.example\ngroups: {a: {roles: [king]}}", "is no role"},
		"none.yaml": {"", "issuer"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := services{app: &app{settings: settings{OIDC: path}, now: time.Now}}
		if _, err := s.signOn(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("signOn(%s) = %v, want %q", name, err, c.says)
		}
	}
}
