package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"daybreak/internal/access"
	"daybreak/internal/api"
	"daybreak/internal/oidc"
	"daybreak/internal/web"
	"daybreak/pipeline"
)

// webConfig returns what the pages and the API are served with. Without a sign-on, sample users sign in
// on loopback, in a sample installation, and anybody with a token.
func (s *services) webConfig() (web.Config, error) {
	signOn, err := s.signOn()
	if err != nil {
		return web.Config{}, exitWith(exitUsage, err)
	}
	listen := s.app.settings.HTTP
	return web.Config{
		Views: s.db, Actions: desk(s.db), Schedule: schedule{s}, Listen: listen, DevLogin: signOn == nil,
		IsSample: func() bool { _, isSample := s.clock.state(); return isSample },
		People:   s.db, Sessions: s.db.Sessions(), SignOn: signOn,
		API:   api.New(api.Config{Book: s.db, Desk: desk(s.db), Runs: steered{schedule{s}}, Build: s.build, Log: s.app.log, Now: s.app.now}),
		Build: s.build, Log: s.app.log, Now: s.app.now,
	}, nil
}

// signOn returns the sign-on of the settings; nil for none.
func (s *services) signOn() (web.SignOn, error) {
	name := s.app.settings.OIDC
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("file of the sign-on: %w", err)
	}
	var c oidc.Config
	if err := yaml.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("file of the sign-on %s: %w", name, err)
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("file of the sign-on %s: %w", name, err)
	}
	if c.SecretFile != "" {
		secret, err := os.ReadFile(c.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("secret of the sign-on: %w", err)
		}
		c.ClientSecret = strings.TrimSpace(string(secret))
	}
	return signOn{oidc.New(c, s.app.now)}, nil
}

// signOn is the sign-on as the pages call it.
type signOn struct{ provider *oidc.Provider }

// Begin implements web.SignOn.
func (s signOn) Begin(ctx context.Context, c web.Challenge) (string, error) {
	return s.provider.Begin(ctx, oidc.Challenge{State: c.State, Nonce: c.Nonce, Verifier: c.Verifier})
}

// Finish implements web.SignOn.
func (s signOn) Finish(ctx context.Context, c web.Challenge, code string) (access.Account, error) {
	return s.provider.Finish(ctx, oidc.Challenge{State: c.State, Nonce: c.Nonce, Verifier: c.Verifier}, code)
}

// steered is a schedule whose runs can be steered.
type steered struct{ schedule }

// Steer implements api.Runs.
func (s steered) Steer(ctx context.Context, change pipeline.RunChange) (pipeline.Run, error) {
	o := &office{where: s.services.where, db: s.services.db, producer: s.services.producer}
	return steer(ctx, o, change)
}

// sweepPause is the time between two sweeps of sessions that have ended.
const sweepPause = time.Hour

// sweep forgets sessions and answers that have ended, until ctx ends.
func (s *services) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepPause)
	defer tick.Stop()
	for {
		if err := s.db.Sweep(ctx, s.app.now()); err != nil && ctx.Err() == nil {
			s.app.log.Warn("sessions not swept", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
