"""Which patterns of sources and targets are refused, warned about, or fine."""

import pytest

from aurora_restore.cloudformation.patterns import cautions, check_patterns
from aurora_restore.errors import RequestError


@pytest.mark.parametrize(
    ("source", "target"),
    [("prod-*", "staging-*"), ("orders-prod", "orders-staging"), ("*-prod", "*-staging"), ("prod-?", "prod-??")],
)
def test_patterns_that_share_no_name_need_no_word(source: str, target: str) -> None:
    """What is usual is silent."""
    check_patterns(source, target)
    assert not list(cautions(source, target))


@pytest.mark.parametrize(
    ("source", "target"),
    [("*", "*"), ("*", "staging-*"), ("orders", "orders"), ("prod-*", "prod-copy-?"), ("orders*", "orders-*")],
)
def test_sources_that_take_in_every_target_are_refused(source: str, target: str) -> None:
    """IAM's Deny would stop each restore at its first look at the target: that is said before the deployment."""
    with pytest.raises(RequestError, match="SourcePattern"):
        check_patterns(source, target)


@pytest.mark.parametrize(
    ("source", "target", "both"),
    [
        ("prod-*", "*-staging", "prod-staging"),
        ("prod-*", "*", "prod-"),
        ("a?c*", "*bcd", "abcd"),
        ("*-prod", "orders-*", "orders-prod"),
    ],
)
def test_a_name_that_both_patterns_match_is_shown(source: str, target: str, both: str) -> None:
    """A person sees at an example what two patterns have in common."""
    check_patterns(source, target)
    [caution] = cautions(source, target)
    assert f"such as {both} matches both" in caution


def test_targets_that_are_named_after_a_source_need_tags_on_their_instances() -> None:
    """orders-staging-1 looks like an instance of orders: without the tag it cannot be deleted (0011)."""
    [caution] = cautions("orders", "orders-staging")
    assert "aurora-restore:stack" in caution
