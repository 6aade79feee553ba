"""Answers about Python: which error, which decorator, who calls whom, and where the naive reading is wrong."""

import ast

from codemem.training.data.answer_forms import Answered
from codemem.training.data.answers import answered
from codemem.training.data.python_fact_reader import add_file
from codemem.training.data.python_facts import PackageFacts

PARCEL = '''from tools.scales import weigh
from elsewhere import seal_parcel

LIMIT = 30


@dataclass
class Parcel:
    """What is sent, with all that is known of it before it is weighed."""

    mass: float
    address: str

    @cached_property
    def label_text(self):
        if not self.address:
            raise AddressError("a parcel needs an address")
        return f"{self.address}, {self.mass} kilograms"

    @contextmanager
    def opened_for_customs(self, officer):
        def fail_later():
            raise CustomsError("raised when it is called, and not by this")
        if officer is None:
            raise OfficerError("nobody may open it")
        yield fail_later


def deliver_parcel(parcel):
    check_route(parcel)
    weigh_at_door(parcel)
    return seal_parcel(parcel)


def weigh_at_door(parcel):
    return round(parcel.mass * 1000) if parcel.mass < LIMIT else None


def check_route(parcel):
    """Look the route up and be sure that it is open, whatever the weather."""
    return ROUTES[parcel.address].is_open(parcel)


def seal_parcel_again(parcel):
    return [layer.close(parcel) for layer in parcel.layers if not layer.is_closed]


check_route(Parcel(0.0, "a street"))
'''
OTHER = '''def seal_parcel(parcel):
    """A function of this package, and not the one that is imported above."""
    return parcel.layers.append("seal, put on by this package")


class Box:
    def weigh_at_door(self): return 1
'''


def answers(*files: tuple[str, str]) -> dict[str, list[Answered]]:
    facts = PackageFacts()
    for path, text in files:
        add_file(facts, path, text, ast.parse(text))
    records: dict[str, list[Answered]] = {}
    for record in answered("demo", facts):
        assert record.evidence in record.gold[-1].text
        records.setdefault(record.kind, []).append(record)
    return records


def test_the_error_is_asked_for_and_the_one_of_a_nested_function_is_not_said() -> None:
    records = answers(("post/parcel.py", PARCEL))["raises"]
    said = {record.answer for record in records}
    assert "`Parcel.label_text` raises `AddressError`." in said
    assert "`Parcel.opened_for_customs` raises `OfficerError`." in said
    asked = [record.question for record in records if record.answer.endswith("`OfficerError`.")]
    assert asked
    assert all("OfficerError" not in question for question in asked)


def test_decorators_of_functions_and_classes_beside_those_of_neighbours() -> None:
    records = {record.answer: record for record in answers(("post/parcel.py", PARCEL))["decorators"]}
    assert "`Parcel` is decorated with `@dataclass`." in records
    decorated = records["`Parcel.opened_for_customs` is decorated with `@contextmanager`."]
    assert any("@cached_property" in passage.text for passage in decorated.beside)


def test_a_call_of_an_imported_function_is_none_of_the_function_of_that_name() -> None:
    records = answers(("post/parcel.py", PARCEL), ("post/seals.py", OTHER))
    everything = [record.answer for kind in ("caller", "callee") for record in records.get(kind, [])]
    assert not [answer for answer in everything if "`seal_parcel`" in answer]


def test_a_name_that_a_short_method_bears_too_stands_for_no_one_thing() -> None:
    alone = answers(("post/parcel.py", PARCEL))
    assert "`weigh_at_door` is called by `deliver_parcel` in `post/parcel.py`." in {r.answer for r in alone["caller"]}
    both = answers(("post/parcel.py", PARCEL), ("post/seals.py", OTHER))
    assert not [r for r in both.get("caller", []) if "weigh_at_door" in r.answer]


def test_two_callers_are_both_named_and_three_are_not_asked_for() -> None:
    lines = "def route_of_parcel(parcel):\n    return sorted(parcel.stops, key=lambda stop: stop.order)\n"
    user = "\n\ndef {}(parcel):\n    for stop in route_of_parcel(parcel):\n        print(stop.name, parcel.number)\n"
    two = answers(("post/routes.py", lines + user.format("print_route") + user.format("trace_route")))
    (record,) = two["callers"]
    assert record.answer == (
        "`route_of_parcel` is called by `print_route` in `post/routes.py` and by `trace_route` in `post/routes.py`."
    )
    assert [passage.text.split("(")[0] for passage in record.gold] == ["def print_route", "def trace_route"]
    assert "route_of_parcel(parcel)" in record.evidence
    assert record.evidence in record.gold[-1].text
    three = lines + "".join(user.format(name) for name in ("print_route", "trace_route", "check_route"))
    assert not answers(("post/routes.py", three)).get("callers")


def test_what_a_module_calls_at_its_top_level_has_no_one_caller() -> None:
    records = answers(("post/parcel.py", PARCEL))
    assert not [record for record in records["caller"] if record.answer.startswith("`check_route` is called")]
    (called,) = (record for record in records["callee"] if record.answer.startswith("`deliver_parcel`"))
    assert called.answer == "`deliver_parcel` calls `check_route` and `weigh_at_door`."
    assert {passage.text.split("(")[0] for passage in called.beside[:2]} == {"def check_route", "def weigh_at_door"}


def test_what_is_always_the_same_is_not_asked_for_over_and_over() -> None:
    same = "\n".join(
        f"def step_{n}(value):\n    if value is None:\n        raise ValueError('the value of step {n} is missing')\n"
        for n in range(40)
    )
    records = answers(("steps.py", same))["raises"]
    assert 0 < sum(record.answer.endswith("raises `ValueError`.") for record in records) <= 12


def test_what_a_class_sets_or_defines_shortly_is_not_inherited() -> None:
    base = """class Mode(Base):
    @property
    def usual_port(self):
        return self.fixed_port() + self.offset_of_all_ports

    def fixed_port(self):
        self.asked_for_ports += 1  # counted
        return 8080

    def other_port(self):
        self.asked_for_ports += 1  # counted
        return 9090


class TunnelMode(Mode):
    described = "the mode of tunnels, which have ports of their own"
    other_port = 51820

    def fixed_port(self): return 1


class PlainMode(Mode):
    described = "the mode of everything else, with the ports of its base"
    transport_protocol = UDP
"""
    said = {record.answer for record in answers(("modes.py", base))["inherits+returns"]}
    assert said == {
        "`PlainMode` inherits from `Mode`; `Mode.fixed_port` returns `8080`.",
        "`PlainMode` inherits from `Mode`; `Mode.other_port` returns `9090`.",
    }
