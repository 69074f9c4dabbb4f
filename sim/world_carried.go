package sim

import (
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/region"
)

// carriedSeed keeps the draws of carried losses apart from those of a household's life, so that
// they change nothing else of a world.
const carriedSeed = 0x6361727269656421

// carry gives some owners losses from before the household's first event: short- and long-term where
// the region makes the difference, else of up to three years.
func (w *World) carry(record *pipeline.HouseholdRecord, i int) {
	rules, err := region.Load(record.Region)
	if err != nil || len(record.Events) == 0 {
		return
	}
	r := newRandom(w.settings.Seed^carriedSeed, i)
	endOf := rules.TaxYear(record.Events[0].Day) - 1
	for k := range record.Owners {
		if !r.chance(150) {
			continue
		}
		c := &pipeline.CarriedLosses{EndOf: endOf}
		record.Owners[k].Carried = c
		if rules.LongAfterYears > 0 {
			c.ST, c.LT = r.loss(4_000), r.loss(12_000)
			continue
		}
		for year := endOf - r.below(3); year <= endOf; year++ {
			c.ByYear = append(c.ByYear, pipeline.YearLoss{Year: year, Amount: r.loss(6_000)})
		}
	}
}

// loss draws a loss of up to most in home currency, in cents.
func (r *random) loss(most int) money.Dec { return money.FromUnits(int64(r.between(100, 100*most)), 2) }
