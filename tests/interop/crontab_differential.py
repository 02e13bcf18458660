"""Next times of random crontabs, over years and zones: Lovage's against those of Celery's own `crontab`.

    crontab_differential.py TOOL [--count N] [--seed N]

Celery has no question "when next": its beat asks again and again whether an entry is due. So each time of ours is
judged as beat would meet it, after the time before: a second earlier Celery must say "not yet", and then "due".

The two differ in these cases, and then ours must be what `expected_times` says: our rule, spelled out with Python's own
zone data, minute by minute.

  twice      A schedule for all hours comes in both passes of an hour that the clock shows twice. Celery leaves out one,
             so that a task of every ten minutes rests for an hour.
  skipped    A schedule for all hours does not come at times that the clock skips. Celery comes that much later, which
             shows where an hour is not skipped whole. Of several skipped times of certain hours Celery runs the first
             only, and nothing that would come while it waits for that.
  5.2 zones  Celery 5.2 computes with the offset that was in force at the last run; and in the evening west of Greenwich
             it leaves out the next day when days or months are given, since it compares with midnight in UTC.

Besides, every change of every zone from 2020 to 2035 is held against `expected_times`.
"""
import argparse
import collections
import datetime
import random
import subprocess
import sys
import zoneinfo

import celery
from celery.schedules import crontab

UTC = datetime.timezone.utc
MINUTE = datetime.timedelta(minutes=1)
ZONES = ["UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York", "America/St_Johns", "America/Sao_Paulo",
         "Africa/Casablanca", "Asia/Kathmandu", "Asia/Tehran", "Australia/Lord_Howe", "Pacific/Apia",
         "Pacific/Chatham", "Antarctica/Troll"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
NEW = tuple(map(int, celery.__version__.split(".")[:2])) >= (5, 5)


class Generator:
    def __init__(self, seed):
        self.rng = random.Random(seed)

    def part(self, low, high, names=None):
        rng = self.rng
        spell = lambda value: (rng.choice([str.lower, str.upper, str.title])(names[value - low])
                               if names and rng.random() < 0.4 else str(value))
        one = lambda: spell(rng.randint(low, high))
        return rng.choice([
            one, one, one,
            lambda: f"*/{rng.randint(1, high - low + 3)}",
            lambda: f"{one()}-{one()}",
            lambda: f"{one()}-{one()}/{rng.randint(1, 5)}",
        ])()

    def field(self, low, high, names=None, star=0.5):
        if self.rng.random() < star:
            return "*"
        return ",".join(self.part(low, high, names) for _ in range(self.rng.choice([1, 1, 1, 2, 3])))

    def expression(self):
        """minute, hour, day of month, month, day of week"""
        # Celery 5.2 knows no names of months.
        return [self.field(0, 59, star=0.2), self.field(0, 23, star=0.35), self.field(1, 31, star=0.6),
                self.field(1, 12, MONTHS if NEW else None, star=0.7), self.field(0, 6, DAYS, star=0.6)]

    def start(self, zone):
        """A second from 2001 to 2034, often of a day on which the clock is changed."""
        start = moment(self.rng.randint(int(datetime.datetime(2001, 1, 1, tzinfo=UTC).timestamp()),
                                        int(datetime.datetime(2035, 1, 1, tzinfo=UTC).timestamp())))
        if self.rng.random() < 0.3:
            near = changes(zone, start, start + datetime.timedelta(days=250))
            if near:
                start = near[0] - datetime.timedelta(seconds=self.rng.randint(0, 20_000))
        return int(start.timestamp())

    def case(self):
        zone = self.rng.choice(ZONES)
        return self.expression(), zone, self.start(zoneinfo.ZoneInfo(zone)), 10


def celery_crontab(fields, app):
    minute, hour, day, month, weekday = fields
    return crontab(minute, hour, weekday, day, month, app=app)


def never_comes(schedule):
    longest = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
    return not any(min(schedule.day_of_month) <= longest.get(month, 31) for month in schedule.month_of_year)


def is_due(schedule, zone, last, now):
    """What Celery says at `now` of an entry that was sent last at `last`."""
    schedule.nowfun = lambda: now.astimezone(zone)
    return schedule.is_due(last.astimezone(zone)).is_due


def fits(schedule, wall):
    return (wall.minute in schedule.minute and wall.hour in schedule.hour and wall.day in schedule.day_of_month
            and wall.month in schedule.month_of_year and wall.isoweekday() % 7 in schedule.day_of_week)


def expected_times(schedule, zone, after, until):
    """Our rule, spelled out: all times within (after, until]."""
    times = set()
    all_hours = len(schedule.hour) == 24
    # A zone may be more than a day away, and skip a whole one.
    wall = (after - datetime.timedelta(hours=50)).replace(tzinfo=None, second=0, microsecond=0)
    while wall < (until + datetime.timedelta(hours=50)).replace(tzinfo=None):
        if fits(schedule, wall):
            first = wall.replace(tzinfo=zone).astimezone(UTC)
            second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
            exists = first.astimezone(zone).replace(tzinfo=None) == wall
            if exists or not all_hours:
                times.add(first)
            if exists and all_hours:
                times.add(second)
        wall += MINUTE
    return sorted(time for time in times if after < time <= until)


def changes(zone, begin, end):
    """The moments within [begin, end] at which the offset of `zone` changes, found by halving."""
    found = []
    step = datetime.timedelta(days=5)
    while begin < end:
        behind = begin + step
        if begin.astimezone(zone).utcoffset() != behind.astimezone(zone).utcoffset():
            low, high = begin, behind
            while high - low > datetime.timedelta(seconds=1):
                middle = low + datetime.timedelta(seconds=int((high - low).total_seconds()) // 2)
                same = middle.astimezone(zone).utcoffset() == begin.astimezone(zone).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found.append(high)
        begin = behind
    return found


def ask(tool, requests):
    text = "".join(f"{' '.join(fields)}\t{zone}\t{start}\t{count}\n" for fields, zone, start, count in requests)
    reply = subprocess.run([tool], input=text, stdout=subprocess.PIPE, check=True, text=True).stdout
    return reply.splitlines()


def moment(seconds):
    return datetime.datetime.fromtimestamp(int(seconds), UTC)


def against_celery(tool, count, seed):
    generator = Generator(seed)
    apps = {}
    for zone in ZONES:
        apps[zone] = celery.Celery(zone, set_as_current=False)
        apps[zone].conf.timezone = zone
    cases = [generator.case() for _ in range(count)]
    outcomes, different = collections.Counter(), 0
    for (fields, zone_name, start, _), reply in zip(cases, ask(tool, cases)):
        app, zone = apps[zone_name], zoneinfo.ZoneInfo(zone_name)
        schedule = celery_crontab(fields, app)
        if reply.startswith("ERROR"):
            outcome = "never comes" if never_comes(schedule) else "different"
            outcomes[outcome] += 1
            if outcome == "different":
                different += 1
                print(f"{' '.join(fields)}: {reply}")
            continue
        last = moment(start)
        for time in map(moment, reply.split()):
            if time.year > 2036:
                break  # where the zone data of Celery 5.2 ends
            outcome = judge(schedule, app.timezone, zone, last, time)
            outcomes[outcome] += 1
            if outcome == "different":
                different += 1
                print(f"{' '.join(fields)} in {zone_name} after {last}: {time} ({time.astimezone(zone)})")
            last = time
    print(f"Celery {celery.__version__}, seed {seed}, {count} expressions:",
          ", ".join(f"{number} {what}" for what, number in outcomes.items()))
    return different


def judge(schedule, celery_zone, zone, last, time):
    second = datetime.timedelta(seconds=1)
    if is_due(schedule, celery_zone, last, time) and not is_due(schedule, celery_zone, last, time - second):
        return "the same"
    day = datetime.timedelta(days=2)
    if time - last < datetime.timedelta(days=8):
        ours_is_right = expected_times(schedule, zone, last, time) == [time]
    else:
        ours_is_right = expected_times(schedule, zone, time - day, time)[-1:] == [time]
    if not ours_is_right:
        return "different"
    near = changes(zone, time - day, time + day)
    if near and len(schedule.hour) == 24:
        return "twice or skipped"
    offset = lambda when: when.astimezone(zone).utcoffset()
    if any(offset(change) > offset(change - datetime.timedelta(seconds=2)) for change in near):
        return "skipped"
    if not NEW:
        crossed = last.astimezone(zone).utcoffset() != time.astimezone(zone).utcoffset()
        days_given = schedule._orig_day_of_month != "*" or schedule._orig_month_of_year != "*"
        west = last.astimezone(zone).utcoffset() < datetime.timedelta(0)
        if crossed or (days_given and west):
            return "5.2 zones"
    return "different"


def every_change(tool, first_year, last_year):
    """Each change of each zone against our rule."""
    begin, end = (datetime.datetime(year, 1, 1, tzinfo=UTC) for year in (first_year, last_year + 1))
    expressions = ["0,30 0-4 * * *", "15 * * * *", "30 2 * * *"]
    cases = []
    for name in sorted(zoneinfo.available_timezones()):
        if name.startswith(("posix/", "right/")) or name in ("localtime", "Factory", "posixrules"):
            continue
        for change in changes(zoneinfo.ZoneInfo(name), begin, end):
            cases += [(expression.split(), name, int((change - datetime.timedelta(hours=7)).timestamp()), 12)
                      for expression in expressions]
    app = celery.Celery("zones", set_as_current=False)
    schedules = {text: celery_crontab(text.split(), app) for text in expressions}
    memory, different = {}, 0
    for (fields, name, start, _), reply in zip(cases, ask(tool, cases)):
        # Zones that behave alike are computed once.
        zone = zoneinfo.ZoneInfo(name)
        after, until = moment(start), moment(start) + datetime.timedelta(hours=20)
        key = (" ".join(fields), start, after.astimezone(zone).utcoffset(), until.astimezone(zone).utcoffset())
        if key not in memory:
            memory[key] = expected_times(schedules[key[0]], zone, after, until)
        ours = [] if reply.startswith("ERROR") else [t for t in map(moment, reply.split()) if t <= until]
        expected = memory[key][:len(ours)] if len(ours) == 12 else memory[key]
        if ours != expected:
            different += 1
            print(f"{key[0]} in {name} after {after}: {reply}\n  expected {[str(time) for time in expected]}")
    print(f"{len(cases)} questions about the changes of all zones, {first_year} to {last_year}: {different} different")
    return different


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=20261122)
    options = parser.parse_args()
    different = against_celery(options.tool, options.count, options.seed)
    different += every_change(options.tool, 2020, 2035)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
