package market_test

import (
	"testing"
	"time"

	"daybreak/market"
)

func TestParseDayAgreesWithTime(t *testing.T) {
	for _, year := range []int{0, 1, 4, 100, 400, 1582, 1899, 1900, 1969, 1970, 1999, 2000, 2023, 2024, 2100, 9999} {
		for month := range 14 {
			for day := range 33 {
				text := string([]byte{byte('0' + year/1000), byte('0' + year/100%10), byte('0' + year/10%10), byte('0' + year%10), '-',
					byte('0' + month/10), byte('0' + month%10), '-', byte('0' + day/10), byte('0' + day%10)})
				want, wantErr := time.Parse(time.DateOnly, text)
				got, err := market.ParseDay(text)
				if (err == nil) != (wantErr == nil) || err == nil && (got != market.DayOf(want) || got.String() != text) {
					t.Fatalf("ParseDay(%q) = %s, %v, want %s, %v", text, got, err, want, wantErr)
				}
			}
		}
	}
	for _, text := range []string{"", "2024-1-01", "2024/01/01", "20240101", "2024-01-0x", "+024-01-01", "2024-01-01T"} {
		if got, err := market.ParseDay(text); err == nil {
			t.Errorf("ParseDay(%q) = %s, want an error", text, got)
		}
	}
}
