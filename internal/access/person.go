package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Person is who acts: somebody who signed in, or a machine with a token.
type Person struct {
	Name  string   `json:"name"`
	Roles []Role   `json:"roles"`
	Books []string `json:"books"`         // empty: all of them
	Via   string   `json:"via,omitempty"` // what proved it: session, or token 12
}

// May reports whether the person may do an action in some state of its subject.
func (p *Person) May(a Action) bool { return Judge(p, a, "") == Allowed }

// Title returns the person's roles in words.
func (p *Person) Title() string {
	titles := make([]string, len(p.Roles))
	for i, r := range p.Roles {
		titles[i] = r.Title()
	}
	return strings.Join(titles, ", ")
}

// Samples are the people of a sample installation: anyone who reaches its loopback address is any of
// them.
var Samples = []Person{
	{Name: "ana", Roles: []Role{PM}}, {Name: "ben", Roles: []Role{Approver}}, {Name: "eve", Roles: []Role{Viewer}},
	{Name: "olu", Roles: []Role{Ops}}, {Name: "ida", Roles: []Role{Auditor}},
}

// Sample returns the sample person of a name; nil for none.
func Sample(name string) *Person {
	for _, p := range Samples {
		if p.Name == name {
			return &p
		}
	}
	return nil
}

var bookName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)

// IsBook reports whether a text can be the name of a book.
func IsBook(name string) bool { return bookName.MatchString(name) }

type contextKey int

const personKey contextKey = 1

// With returns a context that acts for a person; nil is nobody, and all of the book.
func With(ctx context.Context, p *Person) context.Context {
	return context.WithValue(ctx, personKey, p)
}

// Of returns the person that a context acts for; nil where it acts for nobody.
func Of(ctx context.Context) *Person {
	p, _ := ctx.Value(personKey).(*Person)
	return p
}

// Books returns the books that a context is confined to; none where it sees all.
func Books(ctx context.Context) []string {
	if p := Of(ctx); p != nil {
		return p.Books
	}
	return nil
}

var (
	// ErrUnknown is returned where a name, a token or a session is nobody's. Requests with it get 401.
	ErrUnknown = errors.New("nobody is known by this")
	// ErrDenied is wrapped where a person may not do what was asked. Requests with it get 403.
	ErrDenied = errors.New("not allowed")
)

// tokenPrefix begins every token, so that scanners of secrets find those that leak.
const tokenPrefix = "dbk_"

// NewToken returns a token of 256 random bits and the hash that is kept of it.
func NewToken() (token, hash string) {
	var raw [32]byte
	rand.Read(raw[:])
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
	return token, HashToken(token)
}

// NewTokenOf is NewToken for a person, whose name stands at its end: who has the token can tell whose
// it is without asking.
func NewTokenOf(person string) (token, hash string) {
	token, _ = NewToken()
	token += "." + person
	return token, HashToken(token)
}

// NameOf returns whose a token says that it is; "" for none.
func NameOf(token string) string {
	_, name, _ := strings.Cut(token, ".")
	return name
}

// HashToken returns what is kept of a token: its SHA-256. The token is random, so that no salt is
// needed.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Account is a person as administrators see it.
type Account struct {
	Person
	Issuer  string    `json:"issuer,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Active  bool      `json:"active"`
	Changed time.Time `json:"changed"`
}

// Token is a token as administrators see it.
type Token struct {
	ID      int64      `json:"id"`
	Person  string     `json:"person"`
	Label   string     `json:"label"`
	Created time.Time  `json:"created"`
	Expires time.Time  `json:"expires"`
	Revoked *time.Time `json:"revoked,omitempty"`
}

// Mapping says which roles and books the groups of a sign-on stand for.
type Mapping map[string]Grant

// Grant is what one group gives.
type Grant struct {
	Roles []Role   `json:"roles" yaml:"roles"`
	Books []string `json:"books" yaml:"books"` // empty: all of them
}

// Grants returns the roles and books of a person in some groups, sorted. Where one of the groups names
// books, the person is of the books that are named, with all roles; groups that are not in the mapping
// give nothing.
func (m Mapping) Grants(groups []string) (roles []Role, books []string) {
	for _, g := range groups {
		grant, ok := m[g]
		if !ok || len(grant.Roles) == 0 {
			continue
		}
		roles, books = append(roles, grant.Roles...), append(books, grant.Books...)
	}
	slices.Sort(roles)
	slices.Sort(books)
	return slices.Compact(roles), slices.Compact(books)
}
