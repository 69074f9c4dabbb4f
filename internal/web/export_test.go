package web

// What tests of the package's inside use.
var (
	Where      = where
	ReadFilter = readFilter
)
