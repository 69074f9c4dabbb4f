// Package pipeline is the trading day as use cases: load what a decision depends on, call the core
// once, save the outcome in one transaction. It declares the interfaces that it needs and knows no
// technology.
package pipeline
