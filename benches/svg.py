"""Plots as SVG, by hand: bars with the range of what was measured, lines, distributions."""

import math
from xml.sax.saxutils import escape

COLOURS = ("#1f5f8b", "#c8553d", "#6a994e", "#8d6a9f", "#b08900")
WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, ABOVE, BELOW = 64, 16, 40, 56


class Plot:
    """A frame with two axes; x and y are functions from values to pixels."""

    def __init__(self, title, y_label, x_label=""):
        self.parts = [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">'
            % (WIDTH, HEIGHT),
            '<rect width="%d" height="%d" fill="#ffffff"/>' % (WIDTH, HEIGHT),
        ]
        self.text(LEFT, 20, title, "start", size=14)
        self.text(LEFT, HEIGHT - 6, x_label, "start", colour="#555555")
        self.text(WIDTH - RIGHT, 20, y_label, "end", colour="#555555")

    def text(self, x, y, words, anchor="middle", size=12, colour="#222222"):
        self.parts.append(
            '<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" fill="%s">%s</text>'
            % (x, y, anchor, size, colour, escape(str(words)))
        )

    def line(self, x1, y1, x2, y2, colour="#222222", width=1, dashes=""):
        self.parts.append(
            '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%s"%s/>'
            % (x1, y1, x2, y2, colour, width, ' stroke-dasharray="%s"' % dashes if dashes else "")
        )

    def path(self, points, colour):
        steps = " ".join("%.1f,%.1f" % p for p in points)
        self.parts.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>' % (steps, colour))

    def dot(self, x, y, colour):
        self.parts.append('<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (x, y, colour))

    def legend(self, names):
        for n, name in enumerate(names):
            x = LEFT + 8 + 150 * n
            self.parts.append(
                '<rect x="%d" y="28" width="10" height="10" fill="%s"/>' % (x, COLOURS[n % len(COLOURS)])
            )
            self.text(x + 15, 37, name, "start")

    def linear_y(self, most):
        step = 10 ** math.floor(math.log10(most)) if most > 0 else 1
        step = next(s for s in (step / 5, step / 2, step, step * 2) if most / s <= 7)
        top = step * math.ceil(most / step)
        y = lambda v: HEIGHT - BELOW - (HEIGHT - BELOW - ABOVE - 10) * v / top  # noqa: E731
        n = 0
        while n * step <= top + step / 2:
            self.line(LEFT, y(n * step), WIDTH - RIGHT, y(n * step), "#dddddd")
            self.text(LEFT - 6, y(n * step) + 4, "%g" % round(n * step, 6), "end")
            n += 1
        return y

    def log(self, low, high, start, end, vertical):
        low, high = math.floor(math.log10(low)), math.ceil(math.log10(high))
        high = max(high, low + 1)
        at = lambda v: start + (end - start) * (math.log10(v) - low) / (high - low)  # noqa: E731
        for e in range(low, high + 1):
            words = "{:,}".format(10**e) if e >= 0 else "%g" % 10.0**e
            if vertical:
                self.line(LEFT, at(10.0**e), WIDTH - RIGHT, at(10.0**e), "#dddddd")
                self.text(LEFT - 6, at(10.0**e) + 4, words, "end")
            else:
                self.line(at(10.0**e), ABOVE, at(10.0**e), HEIGHT - BELOW, "#eeeeee")
                self.text(at(10.0**e), HEIGHT - BELOW + 18, words)
        return at

    def done(self):
        return "\n".join(self.parts + ["</svg>", ""])


def bars(title, unit, groups):
    """`groups`: (name of the group, [(name of the bar, summary)])."""
    names = []
    for _, members in groups:
        names += [n for n, _ in members if n not in names]
    plot = Plot(title, unit)
    y = plot.linear_y(max(s["max"] for _, members in groups for _, s in members))
    room = (WIDTH - LEFT - RIGHT) / len(groups)
    for g, (group, members) in enumerate(groups):
        width = 0.8 * room / len(names)
        for name, s in members:
            n = names.index(name)
            x = LEFT + room * (g + 0.1) + width * n
            plot.parts.append(
                '<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>'
                % (x + 2, y(s["median"]), width - 4, y(0) - y(s["median"]), COLOURS[n % len(COLOURS)])
            )
            middle = x + width / 2
            plot.line(middle, y(s["min"]), middle, y(s["max"]))
            plot.text(middle, y(s["max"]) - 4, "%.3g" % s["median"])
        plot.text(LEFT + room * (g + 0.5), HEIGHT - BELOW + 18, group)
    plot.legend(names)
    return plot.done()


def lines(title, unit, x_label, series):
    """`series`: (name, [(x, y)]); both axes are logarithmic, and what is 0 is left out."""
    series = [(name, [(x, y) for x, y in points if x > 0 and y > 0]) for name, points in series]
    every = [p for _, points in series for p in points]
    plot = Plot(title, unit, x_label)
    if every:
        x = plot.log(min(p[0] for p in every), max(p[0] for p in every), LEFT, WIDTH - RIGHT - 10, False)
        y = plot.log(min(p[1] for p in every), max(p[1] for p in every), HEIGHT - BELOW, ABOVE + 10, True)
        for n, (_, points) in enumerate(series):
            colour = COLOURS[n % len(COLOURS)]
            plot.path([(x(a), y(b)) for a, b in points], colour)
            for a, b in points:
                plot.dot(x(a), y(b), colour)
    plot.legend([name for name, _ in series])
    return plot.done()


def distribution(title, unit, series, bound):
    """`series`: (name, values). What share took no longer; the bound as a dashed line."""
    plot = Plot(title, "% took no longer", unit)
    most = max([bound] + [v for _, values in series for v in values])
    x = lambda v: LEFT + (WIDTH - LEFT - RIGHT - 10) * v / (1.05 * most)  # noqa: E731
    y = plot.linear_y(100)
    step = next(s for s in (100, 200, 500, 1000, 2000) if most / s <= 10)
    for n in range(int(1.05 * most / step) + 1):
        plot.text(x(n * step), HEIGHT - BELOW + 18, "%d" % (n * step))
    for n, (_, values) in enumerate(series):
        points, ordered = [], sorted(values)
        for i, v in enumerate(ordered):
            points += [(x(v), y(100 * i / len(ordered))), (x(v), y(100 * (i + 1) / len(ordered)))]
        plot.path(points, COLOURS[n % len(COLOURS)])
    plot.line(x(bound), y(0), x(bound), y(100), "#222222", 1, "4 3")
    plot.text(x(bound) - 4, y(100) + 14, "bound", "end")
    plot.legend([name for name, _ in series])
    return plot.done()
