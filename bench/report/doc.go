// Package report holds what a run of bench has measured and shows it: a table for people, JSON for programs, a line of
// progress meanwhile.
//
// Figures of a row are medians over its rounds. A ratio to the echo is made within each round first, whose two stretches lie
// seconds apart, and the median is taken of the ratios: on a machine that others use too, a ratio of medians
// would compare a quiet minute with a loud one. Percentiles of latency are of all rounds together.
//
// [Compare] says what has changed between two runs, in ratios to the echo, and whether that is more than the rounds of either differ among themselves.
// [Report.Plots] draws pictures.
//
// What it does not do: judge whether a figure is good.
package report
