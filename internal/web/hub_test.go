package web

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func instantOf(unix int64) func() time.Time { return func() time.Time { return time.Unix(unix, 0) } }

func ids(events []event) []int64 {
	var all []int64
	for _, e := range events {
		all = append(all, e.ID)
	}
	return all
}

func TestHubResumes(t *testing.T) {
	h := newHub(instantOf(1))
	const first = int64(1_000_000)
	for range 5 {
		if err := h.publish("run", struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name  string
		last  int64
		want  []int64
		known bool
	}{
		{"a new page", 0, nil, true},
		{"saw none of them", first - 1, []int64{first, first + 1, first + 2, first + 3, first + 4}, true},
		{"saw two", first + 1, []int64{first + 2, first + 3, first + 4}, true},
		{"saw all", first + 4, nil, true},
		{"of before the restart", first - 2, nil, false},
		{"of a server with another clock", first + 5, nil, false},
	} {
		v, missed, known := h.join(tc.last)
		if !slices.Equal(ids(missed), tc.want) || known != tc.known {
			t.Errorf("%s: join(%d) = %v, %t, want %v, %t", tc.name, tc.last, ids(missed), known, tc.want, tc.known)
		}
		h.leave(v)
	}
	if open, _ := h.counts(); open != 0 {
		t.Errorf("counts() = %d viewers after all have left, want 0", open)
	}
}

func TestHubForgets(t *testing.T) {
	h := newHub(instantOf(1))
	for range ringMax + 1 {
		if err := h.publish("run", struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, missed, known := h.join(1_000_000); !known || len(missed) != ringMax {
		t.Errorf("join(the event just before the ring) = %d missed, %t, want %d, true", len(missed), known, ringMax)
	}
	if _, _, known := h.join(999_999); known {
		t.Error("join(an event older than the ring) is known, want a reload")
	}
}

func TestHubDropsTheSlow(t *testing.T) {
	h := newHub(instantOf(1))
	slow, _, _ := h.join(0)
	quick, _, _ := h.join(0)
	for i := range viewerBufferMax + 1 {
		if err := h.publish("fills", struct{}{}); err != nil {
			t.Fatal(err)
		}
		if e := <-quick.events; e.ID != 1_000_000+int64(i) {
			t.Fatalf("event %d has id %d, want %d", i, e.ID, 1_000_000+i)
		}
	}
	got := 0
	for range slow.events {
		got++
	}
	if got != viewerBufferMax {
		t.Errorf("the slow viewer got %d events before it was dropped, want %d", got, viewerBufferMax)
	}
	if open, dropped := h.counts(); open != 1 || dropped != 1 {
		t.Errorf("counts() = %d open, %d dropped, want 1, 1", open, dropped)
	}
	h.leave(slow) // its handler does so as well
	if open, _ := h.counts(); open != 1 {
		t.Errorf("counts() = %d open after the dropped one has left, want 1", open)
	}
}

func TestHubIsBounded(t *testing.T) {
	h := newHub(instantOf(1))
	for range viewersMax {
		if v, _, _ := h.join(0); v == nil {
			t.Fatal("join = nil below the bound")
		}
	}
	if v, _, _ := h.join(0); v != nil {
		t.Errorf("join of viewer %d = a viewer, want none", viewersMax+1)
	}
}

// signedIn returns the cookie of a browser in which a sample user has signed in.
func signedIn(t *testing.T, s *Server) *http.Cookie {
	t.Helper()
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader("user=ana"))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Host = "127.0.0.1"
	s.Handler().ServeHTTP(answer, request)
	cookies := answer.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("sign in set %d cookies, want 1: %s", len(cookies), answer.Body)
	}
	return cookies[0]
}

// TestStreamOutlivesTheReadTimeout serves events with a short limit on the time that a request may
// take to be read: the stream goes on beyond it.
func TestStreamOutlivesTheReadTimeout(t *testing.T) {
	const limit = 30 * time.Millisecond
	s, err := New(Config{Listen: "127.0.0.1:0", DevLogin: true})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s.Handler())
	server.Config.ReadTimeout = limit
	server.Start()
	defer server.Close()
	request, err := http.NewRequest(http.MethodGet, server.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.AddCookie(signedIn(t, s))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	<-time.After(5 * limit)
	if err := s.hub.publish("run", struct{}{}); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if lines.Text() == "event: run" {
			return
		}
	}
	t.Error("the stream ended with the server's time to read a request")
}
