package pipeline

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// InOrder takes items from next until it reports false, works on up to workers of them at once, and
// hands what came of them to save one by one, in the order in which next gave them. At most
// 2 × workers items are between next and save. The first error of the three stops all and is
// returned.
func InOrder[In, Out any](ctx context.Context, workers int, next func() (In, bool, error), work func(In) (Out, error), save func(context.Context, Out) error) error {
	group, ctx := errgroup.WithContext(ctx)
	working := make(chan struct{}, workers)
	results := make(chan chan Out, workers)
	group.Go(func() error {
		defer close(results)
		for {
			item, more, err := next()
			if err != nil || !more {
				return err
			}
			result := make(chan Out, 1)
			if err := send(ctx, working, struct{}{}); err != nil {
				return err
			}
			if err := send(ctx, results, result); err != nil {
				return err
			}
			group.Go(func() error {
				defer func() { <-working }()
				out, err := work(item)
				if err == nil {
					result <- out
				}
				return err
			})
		}
	})
	group.Go(func() error { return saveAll(ctx, results, save) })
	return group.Wait()
}

// saveAll saves the results in the order of their places.
func saveAll[Out any](ctx context.Context, results <-chan chan Out, save func(context.Context, Out) error) error {
	for result := range results {
		select {
		case out := <-result:
			if err := save(ctx, out); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// send puts a value into a channel unless the context ends first.
func send[T any](ctx context.Context, to chan<- T, value T) error {
	select {
	case to <- value:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
