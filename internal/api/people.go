package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"daybreak/internal/access"
)

// tokensPath is where tokens are made.
const tokensPath = "/api/v1/tokens"

// savePerson stores a person.
type savePerson struct {
	Name string `path:"name" maxLength:"80" pattern:"^[A-Za-z0-9][A-Za-z0-9._@-]{0,79}$"`
	Body struct {
		Roles  []string `json:"roles" enum:"viewer,pm,approver,ops,admin,auditor" maxItems:"6" nullable:"false"`
		Books  []string `json:"books,omitempty" maxItems:"100" doc:"empty: all"`
		Active bool     `json:"active"`
	}
}

// createToken asks for a token.
type createToken struct {
	Body struct {
		Person string `json:"person" maxLength:"80" pattern:"^[A-Za-z0-9][A-Za-z0-9._@-]{0,79}$"`
		Label  string `json:"label" minLength:"1" maxLength:"100"`
		Days   int    `json:"days" minimum:"1" maximum:"366"`
	}
}

// newToken is a token with its secret, which is shown here and never again.
type newToken struct {
	access.Token
	Secret string `json:"secret"`
}

// tokenPath names a token.
type tokenPath struct {
	ID int64 `path:"id" minimum:"1"`
}

func (a *API) people() {
	register(a, operation{id: "whoAmI", method: http.MethodGet, path: "/api/v1/me", summary: "Who sends this request", action: access.Read},
		func(ctx context.Context, _ *struct{}) (*body[access.Person], error) {
			return answer(*access.Of(ctx), nil)
		})
	register(a, operation{id: "listPeople", method: http.MethodGet, path: "/api/v1/people", summary: "People with their roles and books", action: access.Manage},
		func(ctx context.Context, _ *struct{}) (*body[items[access.Account]], error) {
			all, err := a.Book.People(ctx)
			return answer(items[access.Account]{all}, err)
		})
	register(a, operation{id: "savePerson", method: http.MethodPut, path: "/api/v1/people/{name}", summary: "Store a person", action: access.Manage, status: http.StatusNoContent},
		func(ctx context.Context, in *savePerson) (*struct{}, error) {
			account := access.Account{Person: access.Person{Name: in.Name, Books: in.Body.Books}, Active: in.Body.Active, Changed: a.Now()}
			if i := slices.IndexFunc(in.Body.Books, func(b string) bool { return !access.IsBook(b) }); i >= 0 {
				return nil, newProblem(http.StatusUnprocessableEntity, CodeInvalid, "A book is named in small letters, digits, - and _.")
			}
			for _, r := range in.Body.Roles {
				account.Roles = append(account.Roles, access.Role(r))
			}
			return &struct{}{}, a.Book.SavePerson(ctx, account, by(ctx))
		})
	register(a, operation{id: "listTokens", method: http.MethodGet, path: "/api/v1/tokens", summary: "Tokens, without their secrets", action: access.Manage},
		func(ctx context.Context, _ *struct{}) (*body[items[access.Token]], error) {
			all, err := a.Book.Tokens(ctx)
			return answer(items[access.Token]{all}, err)
		})
	register(a, operation{id: "createToken", method: http.MethodPost, path: tokensPath, action: access.Manage, status: http.StatusCreated,
		summary: "Make a token; its secret is in this answer and nowhere else"},
		func(ctx context.Context, in *createToken) (*body[newToken], error) {
			secret, hash := access.NewTokenOf(in.Body.Person)
			t := access.Token{Person: in.Body.Person, Label: in.Body.Label, Created: a.Now(), Expires: a.Now().Add(time.Duration(in.Body.Days) * 24 * time.Hour)}
			id, err := a.Book.CreateToken(ctx, t, hash, by(ctx))
			t.ID = id
			return answer(newToken{t, secret}, err)
		})
	register(a, operation{id: "revokeToken", method: http.MethodDelete, path: "/api/v1/tokens/{id}", summary: "End a token", action: access.Manage, status: http.StatusNoContent},
		func(ctx context.Context, in *tokenPath) (*struct{}, error) {
			return &struct{}{}, a.Book.RevokeToken(ctx, in.ID, by(ctx), a.Now())
		})
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
