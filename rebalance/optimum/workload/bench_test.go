package workload

import (
	"daybreak/rebalance/optimum"
	"os"
	"testing"
)

func BenchmarkFixed(b *testing.B) {
	for _, sc := range []string{"etf10", "di100", "di500"} {
		for _, r := range []optimum.Roles{optimum.Fixed, optimum.Mixed} {
			b.Run(sc+"/"+string(r), func(b *testing.B) {
				data, _ := os.ReadFile("/work/scratch/optimum/wl/" + sc + ".json")
				f, _ := Decode(data)
				u := f.Universe()
				var as []*optimum.Account
				for k := range f.Accounts {
					a, _ := f.Account(k)
					as = append(as, a)
				}
				o := optimum.DefaultOptions()
				o.Roles = r
				var s optimum.Solver
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					if _, err := s.Solve(u, as[i%20], &o); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
