package oidc

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"daybreak/internal/access"
)

// TestKeycloak signs mia on at a real Keycloak, which scripts/keycloak.sh starts: form, code, token.
func TestKeycloak(t *testing.T) {
	issuer := os.Getenv("DAYBREAK_TEST_ISSUER")
	if issuer == "" {
		t.Skip("DAYBREAK_TEST_ISSUER names no Keycloak: make keycloak-test starts one")
	}
	p := New(Config{Issuer: issuer, ClientID: "daybreak", Redirect: "http://127.0.0.1:8080/login/callback",
		Groups: access.Mapping{"traders": {Roles: []access.Role{access.PM}}}}, time.Now)
	to, err := p.Begin(t.Context(), challenge)
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var back *url.URL
	client := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/login/callback" {
			back = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	answer, err := client.Get(to)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	found := regexp.MustCompile(`action="([^"]+)"`).FindSubmatch(page)
	if err != nil || found == nil {
		t.Fatalf("the page to sign on has no form: %v\n%s", err, page)
	}
	answer, err = client.PostForm(strings.ReplaceAll(string(found[1]), "&amp;", "&"), url.Values{"username": {"mia"}, "password": {"mia"}})
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if back == nil || back.Query().Get("state") != challenge.State {
		t.Fatalf("Keycloak leads to %v, want back with the state", back)
	}
	a, err := p.Finish(t.Context(), challenge, back.Query().Get("code"))
	if err != nil || a.Name != "mia" || !slices.Equal(a.Roles, []access.Role{access.PM}) {
		t.Errorf("Finish = %+v, %v, want mia, a portfolio manager", a, err)
	}
	if _, err := p.Finish(t.Context(), challenge, back.Query().Get("code")); err == nil {
		t.Error("Keycloak takes a code twice")
	}
}
