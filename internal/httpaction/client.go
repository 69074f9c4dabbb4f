package httpaction

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"daybreak/pipeline/engine"
	"daybreak/workflow"
)

// The headers of a call. A service that honours the key does a write once, whatever is sent again;
// the epoch grows with each owner of an instance, so that a service can refuse one that was replaced.
const (
	headerKey      = "Idempotency-Key"
	headerEpoch    = "Daybreak-Epoch"
	headerDeadline = "Daybreak-Deadline"
)

// CodeRefused is the code of a failure that the service is sure of: a status 4xx, which sending
// again does not change.
const CodeRefused = "REFUSED"

// ErrAddress is wrapped where a service's name leads to an address that it may not have.
var ErrAddress = errors.New("address is not allowed")

// bodyMax bounds what is read of one response, whatever it is for.
const bodyMax = 64 << 20

// newClient returns a client that connects to public addresses and those of networks alone. What is
// checked is the address of the very connection, so that a name that changes its mind gains nothing.
func newClient(networks []netip.Prefix) *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		return checkAddress(address, networks)
	}}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// closed are networks that are neither public nor caught by netip's own words for them.
var closed = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// checkAddress refuses an address that is not public and in none of networks.
func checkAddress(address string, networks []netip.Prefix) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s: %w", address, ErrAddress)
	}
	ip := at.Addr().Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(ip) {
			return nil
		}
	}
	isPublic := ip.IsGlobalUnicast() && !ip.IsPrivate()
	for _, n := range closed {
		isPublic = isPublic && !n.Contains(ip)
	}
	if !isPublic {
		return fmt.Errorf("%s: %w", ip, ErrAddress)
	}
	return nil
}

// doer calls one operation.
type doer struct {
	client *http.Client
	method string
	url    string
	token  string
	action workflow.Action
	isBulk bool
	hasKey bool
}

// Do implements engine.Doer: one request for all calls of an operation that takes a list, else one
// for each. What goes wrong with a request is the failure of all its calls.
func (d *doer) Do(ctx context.Context, calls []engine.Call) []engine.Reply {
	if d.isBulk {
		return d.many(ctx, calls)
	}
	replies := make([]engine.Reply, len(calls))
	for i, c := range calls {
		body, failure := d.send(ctx, calls[i], c.Request, workflow.ResponseMax)
		replies[i] = d.reply(body, failure)
	}
	return replies
}

// many sends the calls as one list.
func (d *doer) many(ctx context.Context, calls []engine.Call) []engine.Reply {
	replies := make([]engine.Reply, len(calls))
	list := []byte{'['}
	for i, c := range calls {
		if i > 0 {
			list = append(list, ',')
		}
		list = d.appendPart(list, c)
	}
	body, failure := d.send(ctx, calls[0], append(list, ']'), min(bodyMax, len(calls)*workflow.ResponseMax))
	var parts []json.RawMessage
	if failure.Code == "" {
		if err := json.Unmarshal(body, &parts); err != nil {
			failure = badResponse("the response is no list: %v", err)
		} else if len(parts) != len(calls) {
			failure = badResponse("a list of %d answers to %d requests", len(parts), len(calls))
		}
	}
	for i := range replies {
		if failure.Code != "" {
			replies[i].Failure = failure
			continue
		}
		replies[i] = d.part(parts[i])
	}
	return replies
}

// appendPart appends one call's part of a list, with its key where the operation takes one.
func (d *doer) appendPart(list []byte, c engine.Call) []byte {
	object := bytes.TrimSpace(c.Request)
	if !d.hasKey || c.Key == "" || len(object) < 2 {
		return append(list, object...)
	}
	key, err := json.Marshal(c.Key)
	if err != nil {
		panic(err) // text can be marshalled
	}
	list = append(append(append(list, '{'), `"`+keyField+`":`...), key...)
	if rest := bytes.TrimSpace(object[1:]); len(rest) > 1 {
		list = append(list, ',')
	}
	return append(list, object[1:]...)
}

// part reads one answer of a list: the response, or {"error": {"code", "message"}} for a call that
// failed alone.
func (d *doer) part(text json.RawMessage) engine.Reply {
	var failed struct {
		Error *struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if _, declared := d.action.Response.Field("error"); !declared && json.Unmarshal(text, &failed) == nil && failed.Error != nil {
		code := failed.Error.Code
		if code == "" {
			code = CodeRefused
		}
		return engine.Reply{Failure: workflow.Failure{Code: code, Message: failed.Error.Message}}
	}
	return d.reply(text, workflow.Failure{})
}

// reply checks a response against the operation's type.
func (d *doer) reply(body []byte, failure workflow.Failure) engine.Reply {
	if failure.Code != "" {
		return engine.Reply{Failure: failure}
	}
	canonical, err := d.action.Response.Canonical(body)
	if err != nil {
		return engine.Reply{Failure: badResponse("%v", err)}
	}
	return engine.Reply{Response: canonical}
}

func badResponse(format string, args ...any) workflow.Failure {
	return workflow.Failure{Code: workflow.CodeBadResponse, Message: fmt.Sprintf(format, args...)}
}

// send makes one request and returns the body of its response, of at most limit bytes.
func (d *doer) send(ctx context.Context, c engine.Call, body []byte, limit int) ([]byte, workflow.Failure) {
	request, err := http.NewRequestWithContext(ctx, d.method, d.url, bytes.NewReader(body))
	if err != nil {
		return nil, workflow.Failure{Code: workflow.CodeBadRequest, Message: err.Error()}
	}
	request.Header.Set("Content-Type", mediaJSON)
	request.Header.Set("Accept", mediaJSON)
	request.Header.Set(headerEpoch, strconv.FormatInt(c.Epoch, 10))
	request.Header.Set(headerDeadline, c.Deadline.UTC().Format(time.RFC3339Nano))
	if c.Key != "" && !d.isBulk {
		request.Header.Set(headerKey, c.Key)
	}
	if d.token != "" {
		request.Header.Set("Authorization", "Bearer "+d.token)
	}
	response, err := d.client.Do(request)
	if err != nil {
		return nil, sendFailure(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, int64(limit)+1))
	if err != nil {
		return nil, sendFailure(err)
	}
	return checkStatus(response.StatusCode, text, limit)
}

// sendFailure says what a request failed of that got no whole answer.
func sendFailure(err error) workflow.Failure {
	var timeout net.Error
	switch {
	case errors.Is(err, ErrAddress):
		return workflow.Failure{Code: workflow.CodeBadRequest, Message: err.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return workflow.Failure{Code: workflow.CodeTimeout, Message: err.Error()}
	}
	return workflow.Failure{Code: workflow.CodeUnavailable, Message: err.Error()}
}

// excerptMax bounds what a failure quotes of a body.
const excerptMax = 300

func checkStatus(status int, body []byte, limit int) ([]byte, workflow.Failure) {
	excerpt := body[:min(len(body), excerptMax)]
	switch {
	case status >= 300 && status < 400:
		return nil, badResponse("status %d: redirects are not followed", status)
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return nil, workflow.Failure{Code: workflow.CodeUnavailable, Message: fmt.Sprintf("status %d: %s", status, excerpt)}
	case status >= 400:
		return nil, workflow.Failure{Code: CodeRefused, Message: fmt.Sprintf("status %d: %s", status, excerpt)}
	case status < 200 || status == http.StatusNoContent:
		return nil, badResponse("status %d without a body", status)
	case len(body) > limit:
		return nil, badResponse("a body of more than %d bytes", limit)
	}
	return body, workflow.Failure{}
}
