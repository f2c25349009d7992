package main

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"os"
)

// city is one record of the data set; see deploy/demo/DATA.md.
type city struct{ country, no, name, region, lat, lng string }

// key is the Redis key of a city.
func (c city) key() string { return "city:" + c.country + ":" + c.no }

// readCities reads the compressed CSV file.
func readCities(path string) (cities []city, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the data set: %w; run the demo from the root of the project", err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	records, err := csv.NewReader(z).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	for _, r := range records[1:] { // the first line names the columns
		cities = append(cities, city{r[0], r[1], r[2], r[3], r[4], r[5]})
	}
	return cities, nil
}
