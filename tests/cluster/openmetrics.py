# SPDX-License-Identifier: GPL-2.0-or-later
"""openmetrics.py: reads OpenMetrics text strictly and fails with words at what is not allowed; parse(text) returns the samples
as {name: {labels as a sorted tuple: value}} and the families as {name: type}. After the specification 1.0."""
import re, sys

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
SAMPLE = re.compile(r'(%s)(?:\{(.*)\})? (\S+)' % NAME)
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)')
NUMBER = re.compile(r'[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$|[+-]Inf$|NaN$')
SUFFIXES = {'counter': ('_total', '_created'), 'gauge': ('',), 'stateset': ('',), 'info': ('_info',), 'unknown': ('',),
            'gaugehistogram': ('_bucket', '_gcount', '_gsum'), 'histogram': ('_bucket', '_count', '_sum', '_created')}


def parse(text):
    assert text.endswith('# EOF\n'), 'does not end with # EOF'
    assert '\r' not in text
    types, helps, units, samples, family, done = {}, set(), {}, {}, None, set()
    lines = text.split('\n')[:-2]
    for i, line in enumerate(lines):
        at = 'line %d: %r: ' % (i + 1, line[:120])
        assert line and line == line.strip(), at + 'blanks'
        m = re.match(r'# (TYPE|HELP|UNIT) (%s) (.+)$' % NAME, line)
        if line.startswith('#'):
            assert m, at + 'no comment that is allowed'
            kind, name, rest = m.groups()
            if name != family:
                assert name not in done, at + 'the family comes again'
                family = name
                done.add(name)
            assert name not in samples_of(samples, name, types), at + 'after its samples'
            if kind == 'TYPE':
                assert name not in types and rest in SUFFIXES, at + 'type'
                types[name] = rest
            elif kind == 'HELP':
                assert name not in helps, at + 'a second help'
                helps.add(name)
            else:
                assert name.endswith('_' + rest), at + 'the unit is not the end of the name'
                units[name] = rest
            continue
        m = SAMPLE.fullmatch(line)
        assert m, at + 'no sample'
        name, labels, value = m.groups()
        assert family and any(name == family + s for s in SUFFIXES[types[family]]), at + 'not of the family ' + str(family)
        assert NUMBER.match(value), at + 'no number'
        found, rest = {}, labels or ''
        while rest:
            l = LABEL.match(rest)
            assert l and l.group(1) not in found, at + 'labels'
            found[l.group(1)] = l.group(2)
            rest = rest[l.end():]
        key = tuple(sorted(found.items()))
        one = samples.setdefault(name, {})
        assert key not in one, at + 'a sample for the second time'
        one[key] = float(value)
        if types[family] == 'counter':
            assert float(value) >= 0, at + 'a counter below 0'
        if types[family] == 'stateset':
            assert family in found and value in ('0', '1'), at + 'stateset'
    for name, kind in types.items():
        if kind == 'gaugehistogram':
            buckets = [(float(dict(k)['le']), v) for k, v in samples[name + '_bucket'].items()]
            assert buckets == sorted(buckets) and buckets[-1][0] == float('inf'), name + ': buckets'
            assert [v for _, v in buckets] == sorted(v for _, v in buckets), name + ': buckets are no sums'
            assert buckets[-1][1] == samples[name + '_gcount'][()], name + ': count'
    return samples, types


def samples_of(samples, family, types):
    return [family] if any(family + s in samples for s in SUFFIXES.get(types.get(family, 'unknown'), ('',))) else []


if __name__ == '__main__':
    found, kinds = parse(open(sys.argv[1], encoding='utf-8', newline='').read())
    print(len(kinds), 'families,', sum(map(len, found.values())), 'samples')
