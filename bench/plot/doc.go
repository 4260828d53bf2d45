// Package plot draws two kinds of pictures as SVG: bars and lines, with axes, units and direct labels.
//
// It is small on purpose: a report has half a dozen pictures of one form, which a library for any form would not make better. What it
// does not do: legends, other scales than linear and logarithmic ones, interaction.
package plot
