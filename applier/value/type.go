package value

// Kind is what a column holds, whatever its dialect calls it.
type Kind uint8

// The kinds. Other is the zero value: a type that only the server understands.
const (
	Other     Kind = iota // text passed with a cast: enum, inet, interval, xml, spatial
	Integer               // whole numbers of Bits, signed or not
	Decimal               // exact numbers of Precision and Scale
	Float                 // binary floating point of Bits
	Boolean               // true or false
	Text                  // characters, up to Length
	Date                  // a day
	Timestamp             // a day and a time, zoned or not, with Fraction digits of a second
	Time                  // a time of day, zoned or not, with Fraction digits of a second
	Binary                // bytes, up to Length
	JSON                  // a JSON document
	UUID                  // a UUID
	Array                 // a list of Elem, nested as deep as the value is
	Pairs                 // texts by name (PostgreSQL's hstore)
	Raw                   // bytes of any kind, where the target knows no types (Redis)
)

// Type is the type of one column. A dialect fills it in from its catalogue once a table; Convert only reads it.
type Type struct {
	// Kind decides which of the other members count.
	Kind Kind
	// Name is the type in the dialect's own words, as errors show it: "numeric(10,2)".
	Name string
	// Column is the name of the column, as errors show it.
	Column string

	// Bits of an Integer (8, 16, 24, 32, 64) or Float (32, 64).
	Bits uint8
	// Unsigned integers start at 0.
	Unsigned bool
	// Truth says that an Integer stands for truth too, and takes the words of a Boolean as 1 and 0 (MySQL's tinyint(1)).
	Truth bool

	// Precision is the most digits a Decimal has; 0 means as many as there are.
	Precision int
	// Scale is how many of them follow the point, where Precision is set. It may be negative.
	Scale int

	// Fraction is the most digits of a second's fraction in a Timestamp or Time, 0 to 9.
	Fraction int
	// Zoned timestamps are instants and times carry an offset; others are written in UTC.
	Zoned bool

	// Length is the most characters a Text has, or the most bytes a Binary has; 0 means no limit.
	Length int
	// LengthInBytes makes Length of a Text count bytes.
	LengthInBytes bool
	// Takes says how much of Length a character takes, and 0 for one that a Text cannot hold; nil: one, or its bytes.
	Takes func(r rune) int
	// Refuses says in a few words why a canonical text does not fit, where the members above do not tell; empty where it
	// does. rounds is what the job says about digits that the column cannot keep. Nil: nothing more is asked.
	Refuses func(text []byte, rounds bool) string
	// Loose maps texts that the server may take for equal, though their canonical texts differ, to one text; it may do so
	// with others too. Rows whose keys agree in it are written in the order of events. Nil: canonical texts decide.
	Loose func(dst, text []byte) []byte
	// Padded texts are equal whatever blanks end them, as char(n): the canonical text has none.
	Padded bool

	// Special says that the dialect has NaN and infinity (Float, Decimal) or infinity (Date, Timestamp).
	Special bool

	// Elem is the type of an Array's elements. Its Name and Column are not shown.
	Elem *Type

	// Rules are what the job says about the column.
	Rules Rules
}
