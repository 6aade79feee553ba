"""By which words a question says that it asks for an error, a constant or a default, and how code of any language tells
that it fails (decisions 0045 and 0046)."""

import re

ERRORS = re.compile(
    r"\b(?:errors?|exceptions?|fail(?:s|ed|ures?)?|raises?|throws?|panics?|Fehler\w*|Ausnahmen?|excepci[oó]n(?:es)?)\b|错误|异常",
    re.IGNORECASE,
)
DEFAULTS = re.compile(
    r"\b(?:values?|defaults?|presets?|optional|omit\w*|unless|without|otherwise|left out|leave out|falls? back"
    r"|stands? in"
    r"|Werte?|Standard\w*|Vorgabe\w*|voreingestellt|ohne|weg\w*lass\w*|valor|predeterminado|defecto|omisi[oó]n|omit\w+|sin)\b"
    r"|默认|缺省|省略|不传",
    re.IGNORECASE,
)
CONSTANTS = re.compile(r"\b(?:constants?|constantes?|Konstanten?)\b|常量", re.IGNORECASE)
CALLS = re.compile(r"\bcalls\b|\bruft\b|\bllama\b|调用了", re.IGNORECASE)
"""What something calls is asked about, not what one gets who calls it."""
CALLERS = re.compile(
    r"\b(?:depends? on|who (?:calls|uses)|called by|if i change|makes? use of|one step up"
    r"|Aufrufer|abhäng\w*|hängt|depende[n]?|qui[eé]n llama)\b|谁调用|依赖",
    re.IGNORECASE,
)
BASES = re.compile(
    r"\b(?:parents?|superclass|base (?:class|type)|inherits?|extends?|embeds?|built on|takes? over"
    r"|stands? (?:directly )?above"
    r"|Elternklasse|Elternteil|Oberklasse|Basisklasse|abgeleitet|erbt|padre|hereda|deriva)\b|父类型?|基类|继承|派生",
    re.IGNORECASE,
)
WHERE = re.compile(r"\bwhere\b|\b(?:which|what) file\b|\bwo\b|\bdónde\b|哪里|哪个文件", re.IGNORECASE)
ELSEWHERE = re.compile(
    r"\b(?:another|other|helpers?|calls?|called|follow|relies|inherit\w*|parents?|takes|hands|offers|anderen?|ruft|erbt|geerbt\w*"
    r"|otr[oa]|llama|hereda\w*)\b|另一|其他|调用|继承",
    re.IGNORECASE,
)
"""What is asked for is had by something else than what the question spells."""
CALLED_BY = re.compile(
    r"\b(?:who (?:calls|uses)|called by|if i change|makes? use of|one step up|Aufrufer\w*|aufgerufen"
    r"|welche Funktion ruft|qui[eé]n llama|llama\w* a)\b|谁调用|哪个函数调用|被调用"
    r"|\bcalls?\s+(?:to\s+)?(?:the\s+)?(?:function\s+|method\s+)?`",
    re.IGNORECASE,
)
"""Who calls something is asked about, and nothing else."""
DECORATORS = re.compile(r"\bdecorat\w*|\bat sign\b|\bannotat\w*|\bDekorat\w*|\bdecorador\w*|装饰器", re.IGNORECASE)
FURTHER = re.compile(
    r"\b(?:another|other|helpers?|calls a|follow|relies|inherit\w*|class does not define|its parent"
    r"|takes from|hands|offers|anderen?|(?<!Funktion )ruft|erbt|geerbt\w*|Elternklasse|otr[oa]|hereda\w*|clase padre"
    r"|llama a una)\b"
    r"|\bdoes not define `|另一|其他|(?<!哪个函数)调用了|继承的|由父类",
    re.IGNORECASE,
)
"""What is asked for is had by something that the question does not spell."""
EXPLAINS = re.compile(
    r"\b(?:how(?! many| often| long| much)|why|what happens|wie|warum|wieso|was (?:passiert|geschieht)|cómo|por qué"
    r"|qué (?:pasa|ocurre|sucede))\b|为什么|如何|怎么|怎样|发生",
    re.IGNORECASE,
)
"""It is to be explained how or why something is so, not told what it is."""
ONE_THING_NAMES, ONE_THING_CHARACTERS = 3, 300
"""Names and characters at most of a question that asks for one thing."""
TESTS = re.compile(r"\btest(?:s|ed|ing)?\b|\bpruebas?\b|测试", re.IGNORECASE)
PROSE = (".md", ".markdown", ".rst", ".txt", ".adoc")
"""Ends of the names of files that call nothing, and set nothing but in examples."""
OF_TESTS = re.compile(r"(?:^|\.)(?:tests?\.|test_|Test[A-Z])")
"""In the name of a definition: it shows what is meant rather than do it."""
RAISING = re.compile(
    r"^[ \t]*(?:raise|throw)\b|\bpanic!?\(|\bErr\(|\breject\(|\berrors\.New\(|\.Errorf\(|\bfail\w*\(", re.MULTILINE
)
ERROR_RETURNED = re.compile(r"\breturn\b[^\n]{0,200}?\bErr[A-Z]\w*")
"""Go hands back errors that have names of their own."""
BASED = re.compile(
    r"\bclass\s+\w+\s*\(\s*[\w.]|\bclass\s+[\w:]+\s*<\s*[A-Z:]|\bextends\s+\w"
    r"|\b(?:class|struct|interface|object|trait)\s+\w+(?:<[^<>\n]*>)?\s*:\s*\w"
)
EMBEDDED = re.compile(r"[ \t]+\*?(?:\w+\.)?[A-Za-z]\w*(?:[ \t]*`[^`]*`)?[ \t]*$")
"""How code of any language says what something is built on; and a line of a struct of Go."""


def is_constant(name: str) -> bool:
    """Whether a name is written as constants are."""
    return name == name.upper()
