package httpaction

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"daybreak/pipeline/engine"
	"daybreak/workflow"
)

const numpyExample = "../../examples/numpy-orders"

// pythonWithNumpy returns a Python that has NumPy: DAYBREAK_TEST_PYTHON, the first one of the path, or the
// system's. Without one the test is skipped, but in CI, which installs it, that is a failure.
func pythonWithNumpy(t *testing.T) string {
	t.Helper()
	var why []string
	for _, python := range []string{os.Getenv("DAYBREAK_TEST_PYTHON"), "python3", "/usr/bin/python3"} {
		if python == "" {
			continue
		}
		out, err := exec.Command(python, "-c", "import numpy").CombinedOutput()
		if err == nil {
			return python
		}
		why = append(why, fmt.Sprintf("%s: %v: %s", python, err, out))
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("a Python with NumPy is needed in CI: %s", strings.Join(why, "; "))
	}
	t.Skipf("no Python with NumPy: %s", strings.Join(why, "; "))
	return ""
}

// startNumpy starts the example's service on a free port and returns its URL.
func startNumpy(t *testing.T) string {
	t.Helper()
	python := pythonWithNumpy(t)
	c := exec.Command(python, filepath.Join(numpyExample, "service.py"), "--port", "0")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
}

// TestNumpyService calls the example as it is: its file of services but for the port, its OpenAPI
// document, its workflow.
func TestNumpyService(t *testing.T) {
	t.Parallel()
	url := startNumpy(t)
	dir := t.TempDir()
	for _, name := range []string{"services.yaml", "openapi.json"} {
		text, err := os.ReadFile(filepath.Join(numpyExample, name))
		if err != nil {
			t.Fatal(err)
		}
		text = []byte(strings.Replace(string(text), "http://127.0.0.1:8099", url, 1))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	registry, err := Load(filepath.Join(dir, "services.yaml"), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(numpyExample, "workflow.json"))
	if err != nil {
		t.Fatal(err)
	}
	d, problems := workflow.Parse(document, registry)
	if d == nil {
		t.Fatalf("the example's workflow is refused: %v", problems)
	}
	const account = `{"cash":"%d","minimum":"100","positions":[{"price":"%s","shares":"10","symbol":"VCN","weight":"0.5"},{"price":"25.5","shares":"100","symbol":"XIC","weight":"0.5"}]}`
	var calls []engine.Call
	for i := range 500 {
		price := "50"
		if i == 7 {
			price = "0"
		}
		env := workflow.Env{Now: time.Date(2026, 3, 16, 13, 0, 0, 0, time.UTC)}
		in, err := d.Begin(workflow.Instance{ID: fmt.Sprint(i), Household: "H", Context: fmt.Appendf(nil, account, i*10, price)}, env)
		if err != nil {
			t.Fatal(err)
		}
		request, err := d.Request(in, env)
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, engine.Call{Request: request, Deadline: time.Now().Add(time.Minute)})
	}
	replies := registry["numpy.orders"].Do.Do(t.Context(), calls)
	// 500 + 2,550 + cash 0: 1,525 each; 20 more VCN for 1,000 of the 1,020 that 40 XIC bring.
	want := `{"orders":[{"notional":"1000","quantity":20,"side":"buy","symbol":"VCN"},{"notional":"1020.0","quantity":40,"side":"sell","symbol":"XIC"}],"status":"orders"}`
	if got := string(replies[0].Response); got != want {
		t.Errorf("account 0 = %s %+v, want %s", got, replies[0].Failure, want)
	}
	if got := replies[7].Failure.Code; got != "NO_PRICE" {
		t.Errorf("account without a price = %+v, want NO_PRICE", replies[7])
	}
	for i, r := range replies {
		var a struct{ Status string }
		if err := json.Unmarshal(r.Response, &a); i != 7 && (err != nil || a.Status != "orders") {
			t.Errorf("account %d = %s, %+v, %v", i, r.Response, r.Failure, err)
		}
	}
}
