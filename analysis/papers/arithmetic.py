"""Arithmetic that a description may state: + - * / and powers over names and numbers, exact, and nothing else.

Nothing is evaluated as code: an expression is parsed, and only these nodes of it are read.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from fractions import Fraction

from glimmer.errors import InputError

_ALLOWED = "numbers, names, + - * / ** and brackets"
_LARGEST_POWER = 8
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.USub)
_NODES = (ast.BinOp, ast.UnaryOp, ast.Name, ast.Load, *_OPERATORS)


def names_of(expression: str, where: object) -> frozenset[str]:
    """The names in an expression. Raises InputError for one that is not of this arithmetic."""
    tree = _parsed(expression, where)
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def evaluate(expression: str, values: Mapping[str, Fraction], where: object) -> Fraction:
    """The value of an expression, exact. Raises InputError for an unknown name or a division by zero."""
    return _value(_parsed(expression, where), expression, values, where)


def _parsed(expression: str, where: object) -> ast.expr:
    try:
        tree = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError):
        raise InputError("not arithmetic", where=where, expected=_ALLOWED, found=repr(expression)) from None
    for node in ast.walk(tree):
        if not _is_allowed(node):
            raise InputError("not arithmetic", where=where, expected=_ALLOWED, found=repr(expression))
    return tree


def _is_allowed(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and not isinstance(node.value, bool)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        power = node.right
        return isinstance(power, ast.Constant) and isinstance(power.value, int) and power.value <= _LARGEST_POWER
    return isinstance(node, _NODES)


def _value(node: ast.expr, text: str, values: Mapping[str, Fraction], where: object) -> Fraction:
    if isinstance(node, ast.Constant):
        return Fraction(repr(node.value))
    if isinstance(node, ast.Name):
        if node.id not in values:
            known = ", ".join(values) or "no name"
            raise InputError(f"unknown name in {text!r}", where=where, expected=f"one of {known}", found=node.id)
        return values[node.id]
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand, text, values, where)
    left, right = (_value(side, text, values, where) for side in (node.left, node.right))
    match node.op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Pow():
            return left**right
    if right == 0:
        raise InputError("division by zero", where=where, expected="another denominator", found=repr(text))
    return left / right
