import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thriftune.data.load import load_dataset
from thriftune.data.readers.formats import read_file
from thriftune.data.settings import DataSettings
from thriftune.data.table import ReadOptions
from thriftune.errors import InputError
from thriftune.settings import SettingsError

ENGLISH = ("I don’t like “this” — it’s bad", "£5 for nothing™", "a naïve café")
GERMAN = ("Der Service war äußerst freundlich", "für die Getränke müssen wir zahlen", "schöne Grüße, größer")
FRENCH = ("L’accueil était très chaleureux", "où êtes-vous allés ?", "Ça m’a plu énormément", "fâché, hélas")
SPANISH = ("¿Cómo estás? aquí mañana", "¡Qué lástima! El niño comió", "según el público español, montaña")
POLISH = ("świetny żart i zły początek", "słaba końcówka, źle się czuję", "Więcej nie będę oglądał, żółć")
RUSSIAN = ("Фильм отличный, всем советую", "но концовка подкачала", "Мы ждали большего")
CHINESE = ("这家餐厅的服务非常好", "菜也很好吃，但是价格太贵了", "下次不会再来了")
TAIWANESE = ("這家餐廳的服務非常好", "菜也很好吃，但是價格太貴了", "下次不會再來了")
JAPANESE = ("この映画はとても面白かったです。", "でも終わり方が残念でした。", "また見たいと思います。")
KOREAN = ("이 영화는 정말 재미있었어요", "하지만 결말이 아쉬웠습니다")
GREEK = ("Η ταινία ήταν πολύ καλή", "αλλά το τέλος δεν μου άρεσε")
ARABIC = ("فيلم جيد جدا", "لم يعجبني هذا الفيلم")

WRITTEN = {
    "cp1252 quotes": ("cp1252", ENGLISH),
    "cp1252 one letter": ("cp1252", ("café",)),
    "cp1252 German": ("cp1252", GERMAN),
    "latin-1 French": ("cp1252", FRENCH),
    "cp1252 Spanish": ("cp1252", SPANISH),
    "cp1250": ("cp1250", POLISH),
    "cp1251": ("cp1251", RUSSIAN),
    "cp1251 among English": ("cp1251", ("The film „Москва“ was great, said Иван to everyone in the house",)),
    "koi8-r": ("koi8-r", RUSSIAN),
    "gb18030": ("gb18030", CHINESE),
    "big5": ("big5", TAIWANESE),
    "shift_jis": ("shift_jis", JAPANESE),
    "euc_jp": ("euc_jp", JAPANESE),
    "euc_kr": ("euc_kr", KOREAN),
    "cp1253": ("cp1253", GREEK),
    "cp1256": ("cp1256", ARABIC),
    "utf-16": ("utf-16", RUSSIAN),
    "utf-16-le without mark": ("utf-16-le", CHINESE),
    "utf-16-be without mark": ("utf-16-be", ENGLISH),
    "utf-32": ("utf-32", ENGLISH),
    "utf-32-le without mark": ("utf-32-le", CHINESE),
    "utf-32-be without mark": ("utf-32-be", RUSSIAN),
}


def csv_of(texts: tuple[str, ...]) -> str:
    rows = [("one of many plain rows", "c"), *((text, "ab"[i % 2]) for i, text in enumerate(texts * 3))]
    return "text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows)


@pytest.mark.parametrize("case", WRITTEN)
def test_an_encoding_is_found_and_said(tmp_path: Path, case: str) -> None:
    codec, texts = WRITTEN[case]
    path = tmp_path / "a.csv"
    path.write_bytes(csv_of(texts).encode(codec))
    table = read_file(path)
    assert table.columns == ("text", "label")
    assert table.frame["text"].to_list()[1:] == list(texts * 3)
    assert "as its bytes suggest; data.encoding overrules" in table.notes[0]


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_utf_8_is_utf_8_and_needs_no_note(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "a.csv"
    for texts in (ENGLISH, GERMAN, POLISH, RUSSIAN, CHINESE, ARABIC, ("plain",)):
        path.write_bytes(mark + csv_of(texts).encode())
        table = read_file(path)
        assert table.columns == ("text", "label")
        assert table.frame["text"].to_list()[1:] == list(texts * 3)
        assert table.notes == ()


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=40))
def test_whatever_is_written_as_utf_8_is_read_as_it(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("utf8") / "a.csv"
    path.write_bytes('text,label\n"{}",a\nb,b\n'.format(text.replace('"', '""')).encode())
    assert read_file(path).frame["text"].to_list() == [text, "b"]


def test_the_user_has_the_last_word(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\nłóżko,x\n".encode("cp1250"))
    assert read_file(path, reading=ReadOptions(encoding="cp1250")).frame["text"][0] == "łóżko"
    path.write_bytes("text,label\nłóżko,x\n".encode("utf-8-sig"))
    assert read_file(path, reading=ReadOptions(encoding="utf-8")).columns == ("text", "label")


def test_a_given_encoding_that_does_not_fit_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\ncaf\xe9,x\n")
    with pytest.raises(InputError, match=r"is not UTF-8: byte 14 \(line 2\)"):
        read_file(path, reading=ReadOptions(encoding="utf-8"))
    with pytest.raises(InputError, match=r"cannot be read|truncated"):
        read_file(path, reading=ReadOptions(encoding="utf-16"))


@pytest.mark.parametrize("name", ["utf8x", "zlib_codec", "unicode_escape", "idna", ""])
def test_an_encoding_must_be_known(name: str) -> None:
    with pytest.raises(SettingsError, match=r"encoding: .* is no text encoding"):
        DataSettings(source="a.csv", text=("text",), encoding=name)
    assert DataSettings(source="a.csv", text=("text",), encoding="Shift_JIS").encoding == "Shift_JIS"


def test_an_encoding_without_effect_is_an_error() -> None:
    with pytest.raises(InputError, match=r"data\.encoding has no effect on demo:snli"):
        load_dataset(DataSettings(source="demo:snli", text=("premise",), encoding="cp1252"))
