package sim

// A City is where clients, nodes and destinations may be. One may stand for a
// whole country or a part of one.
type City struct {
	Country   string // ISO 3166-1 alpha-2
	Name      string
	Lat, Long float64 // degrees, north and east
	// Users is how many million people there use the Internet: countries after
	// the ITU (Individuals using the Internet) and the United Nations' population
	// of 2023, rounded, divided among a country's cities.
	Users float64
	// Nodes says what part of nodes stand there, in thousandths: about as Tor's
	// relays did in 2024 (metrics.torproject.org).
	Nodes float64
	// Sites says what part of requests go there, in thousandths. An estimate: it
	// follows where the great hosting companies have their data centres.
	Sites float64
}

// Cities returns all there are.
func Cities() []City {
	return []City{
		{"US", "Ashburn", 39.04, -77.49, 45, 40, 190},
		{"US", "New York", 40.71, -74.01, 50, 40, 45},
		{"US", "Chicago", 41.88, -87.63, 45, 15, 30},
		{"US", "Dallas", 32.78, -96.80, 45, 20, 40},
		{"US", "Los Angeles", 34.05, -118.24, 40, 20, 35},
		{"US", "San Jose", 37.34, -121.89, 25, 10, 60},
		{"US", "Seattle", 47.61, -122.33, 15, 12, 45},
		{"US", "Atlanta", 33.75, -84.39, 25, 8, 15},
		{"US", "Miami", 25.76, -80.19, 20, 5, 8},
		{"CA", "Toronto", 43.65, -79.38, 25, 12, 12},
		{"CA", "Montreal", 45.50, -73.57, 8, 23, 10},
		{"CA", "Vancouver", 49.28, -123.12, 4, 2, 2},
		{"MX", "Mexico City", 19.43, -99.13, 100, 2, 4},
		{"BR", "São Paulo", -23.55, -46.63, 140, 4, 18},
		{"BR", "Fortaleza", -3.73, -38.53, 40, 1, 2},
		{"AR", "Buenos Aires", -34.60, -58.38, 40, 2, 3},
		{"CL", "Santiago", -33.45, -70.67, 17, 2, 3},
		{"CO", "Bogotá", 4.71, -74.07, 39, 1, 2},
		{"PE", "Lima", -12.05, -77.04, 25, 0, 1},
		{"VE", "Caracas", 10.48, -66.90, 20, 0, 0},
		{"DE", "Frankfurt", 50.11, 8.68, 40, 110, 65},
		{"DE", "Nuremberg", 49.45, 11.08, 20, 80, 10},
		{"DE", "Berlin", 52.52, 13.40, 18, 50, 8},
		{"NL", "Amsterdam", 52.37, 4.90, 17, 80, 55},
		{"FR", "Paris", 48.86, 2.35, 50, 45, 30},
		{"FR", "Strasbourg", 48.58, 7.75, 10, 25, 8},
		{"GB", "London", 51.51, -0.13, 66, 35, 45},
		{"IE", "Dublin", 53.35, -6.26, 5, 4, 35},
		{"BE", "Brussels", 50.85, 4.35, 11, 4, 3},
		{"LU", "Luxembourg", 49.61, 6.13, 0.6, 10, 1},
		{"CH", "Zurich", 47.38, 8.54, 8.5, 30, 6},
		{"AT", "Vienna", 48.21, 16.37, 8.5, 25, 4},
		{"IT", "Milan", 45.46, 9.19, 51, 12, 10},
		{"ES", "Madrid", 40.42, -3.70, 45, 10, 8},
		{"PT", "Lisbon", 38.72, -9.14, 9, 4, 1},
		{"SE", "Stockholm", 59.33, 18.07, 10, 30, 10},
		{"NO", "Oslo", 59.91, 10.75, 5.4, 10, 2},
		{"DK", "Copenhagen", 55.68, 12.57, 5.8, 10, 3},
		{"FI", "Helsinki", 60.17, 24.94, 5.2, 35, 6},
		{"IS", "Reykjavik", 64.15, -21.94, 0.4, 5, 0},
		{"EE", "Tallinn", 59.44, 24.75, 1.2, 4, 0},
		{"LV", "Riga", 56.95, 24.11, 1.7, 6, 0},
		{"LT", "Vilnius", 54.69, 25.28, 2.4, 6, 1},
		{"PL", "Warsaw", 52.23, 21.01, 34, 30, 8},
		{"CZ", "Prague", 50.08, 14.44, 9.6, 12, 3},
		{"SK", "Bratislava", 48.15, 17.11, 4.8, 2, 0},
		{"HU", "Budapest", 47.50, 19.04, 9, 8, 1},
		{"RO", "Bucharest", 44.43, 26.10, 17, 25, 2},
		{"BG", "Sofia", 42.70, 23.32, 5.1, 10, 2},
		{"RS", "Belgrade", 44.79, 20.45, 5.6, 1, 0},
		{"MD", "Chișinău", 47.01, 28.86, 1.6, 8, 0},
		{"GR", "Athens", 37.98, 23.73, 9, 3, 1},
		{"UA", "Kyiv", 50.45, 30.52, 29, 10, 3},
		{"RU", "Moscow", 55.76, 37.62, 95, 12, 20},
		{"RU", "Novosibirsk", 55.03, 82.92, 32, 2, 1},
		{"TR", "Istanbul", 41.01, 28.98, 71, 2, 5},
		{"IL", "Tel Aviv", 32.09, 34.78, 8.5, 2, 3},
		{"AE", "Dubai", 25.20, 55.27, 9.4, 1, 3},
		{"SA", "Riyadh", 24.71, 46.68, 36, 0, 2},
		{"IR", "Tehran", 35.69, 51.39, 70, 0, 5},
		{"IQ", "Baghdad", 33.31, 44.37, 33, 0, 0},
		{"KZ", "Almaty", 43.24, 76.89, 18, 1, 1},
		{"UZ", "Tashkent", 41.30, 69.24, 28, 0, 0},
		{"IN", "Mumbai", 19.08, 72.88, 420, 3, 25},
		{"IN", "Chennai", 13.08, 80.27, 400, 1, 5},
		{"PK", "Karachi", 24.86, 67.01, 70, 0, 1},
		{"BD", "Dhaka", 23.81, 90.41, 67, 0, 1},
		{"LK", "Colombo", 6.93, 79.86, 11, 0, 0},
		{"CN", "Beijing", 39.90, 116.41, 350, 0, 20},
		{"CN", "Shanghai", 31.23, 121.47, 350, 0, 20},
		{"CN", "Guangzhou", 23.13, 113.26, 350, 0, 15},
		{"HK", "Hong Kong", 22.32, 114.17, 7, 6, 20},
		{"TW", "Taipei", 25.03, 121.57, 21, 3, 6},
		{"JP", "Tokyo", 35.68, 139.69, 75, 13, 42},
		{"JP", "Osaka", 34.69, 135.50, 30, 2, 6},
		{"KR", "Seoul", 37.57, 126.98, 50, 3, 18},
		{"SG", "Singapore", 1.35, 103.82, 5.6, 12, 45},
		{"MY", "Kuala Lumpur", 3.14, 101.69, 33, 3, 2},
		{"TH", "Bangkok", 13.76, 100.50, 64, 2, 2},
		{"VN", "Ho Chi Minh City", 10.82, 106.63, 78, 2, 3},
		{"ID", "Jakarta", -6.21, 106.85, 190, 2, 5},
		{"PH", "Manila", 14.60, 120.98, 85, 0, 1},
		{"AU", "Sydney", -33.87, 151.21, 20, 7, 12},
		{"AU", "Perth", -31.95, 115.86, 5, 1, 0},
		{"NZ", "Auckland", -36.85, 174.76, 5, 2, 1},
		{"ZA", "Johannesburg", -26.20, 28.05, 45, 3, 5},
		{"NG", "Lagos", 6.52, 3.38, 85, 0, 1},
		{"KE", "Nairobi", -1.29, 36.82, 20, 1, 1},
		{"GH", "Accra", 5.60, -0.19, 23, 0, 0},
		{"ET", "Addis Ababa", 9.03, 38.74, 25, 0, 0},
		{"EG", "Cairo", 30.04, 31.24, 82, 0, 1},
		{"MA", "Casablanca", 33.57, -7.59, 34, 0, 0},
		{"DZ", "Algiers", 36.74, 3.09, 33, 0, 0},
	}
}
