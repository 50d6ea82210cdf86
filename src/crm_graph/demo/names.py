"""The words that names are made of: our own lists, of which some thousand times a thousand combinations are made.

Chinese words carry their pinyin, for addresses. Domains end in `.example` and telephone numbers have a middle of zeros:
nobody can be reached there.
"""

from __future__ import annotations

from dataclasses import dataclass

from crm_graph.demo.dice import Dice


def _spelled(text: str) -> tuple[tuple[str, str], ...]:
    """Return (word, pinyin) of `王 wang 李 li`."""
    words = text.split()
    return tuple(zip(words[::2], words[1::2], strict=True))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_SURNAMES = _spelled("""
    王 wang 李 li 张 zhang 刘 liu 陈 chen 杨 yang 黄 huang 赵 zhao 吴 wu 周 zhou 徐 xu 孙 sun 马 ma 朱 zhu 胡 hu
    郭 guo 何 he 高 gao 林 lin 罗 luo 郑 zheng 梁 liang 谢 xie 宋 song 唐 tang 许 xu 韩 han 冯 feng 邓 deng
    曹 cao 彭 peng 曾 zeng 肖 xiao 田 tian 董 dong 潘 pan 袁 yuan 蔡 cai 蒋 jiang 余 yu 于 yu 杜 du 叶 ye
    程 cheng 魏 wei 苏 su 吕 lv 丁 ding 任 ren 卢 lu 姚 yao 沈 shen 钟 zhong 姜 jiang 崔 cui 谭 tan 陆 lu 范 fan
    汪 wang 廖 liao 石 shi 金 jin 欧阳 ouyang 司马 sima 诸葛 zhuge 上官 shangguan
""")
_GIVEN = _spelled("""
    伟 wei 芳 fang 娜 na 敏 min 静 jing 强 qiang 磊 lei 洋 yang 勇 yong 艳 yan 杰 jie 娟 juan 涛 tao 超 chao
    霞 xia 秀英 xiuying 明 ming 刚 gang 平 ping 辉 hui 玲 ling 桂英 guiying 丹 dan 萍 ping 鹏 peng 华 hua
    红 hong 建国 jianguo 丽华 lihua 晓明 xiaoming 志强 zhiqiang 海燕 haiyan 文博 wenbo 子涵 zihan 雨桐 yutong
    浩然 haoran 思远 siyuan 欣怡 xinyi 梓轩 zixuan 一诺 yinuo 佳琪 jiaqi 俊杰 junjie 雪梅 xuemei 春生 chunsheng
    国栋 guodong 家豪 jiahao 美玲 meiling 晨曦 chenxi 天宇 tianyu 若曦 ruoxi 嘉怡 jiayi 卫东 weidong
    淑珍 shuzhen 振华 zhenhua 立新 lixin 慧 hui 琳 lin 翔 xiang 瑶 yao 宁 ning 博文 bowen 诗涵 shihan
""")
_FIRST = _words("""
    Alice Amir Anna Ben Carla Carlos Chloe Daniel Diana Elena Emma Eric Fatima Felix George Grace Hannah Henry
    Ines Ivan Jack James Julia Karim Kate Laura Leo Liam Lucy Maria Mark Maya Mei Nadia Nina Noah Oliver Olivia
    Oscar Paul Peter Priya Rachel Rosa Sam Sara Sofia Stefan Tara Thomas Tim Vera Victor Yuki Zoe
""")
_LAST = _words("""
    Adams Ahmed Andersson Bailey Baker Becker Bennett Brown Clark Costa Cruz Davies Diaz Dubois Evans Fischer
    Foster Garcia Gomez Green Haddad Hall Harris Hughes Ito Jansen Johnson Kaur Keller Khan Kim Lambert Lee
    Lopez Martin Meyer Miller Moore Moreau Murphy Nguyen Novak Olsen Patel Perez Reed Rivera Rossi Santos Sato
    Schmidt Silva Singh Smith Tanaka Taylor Walker Weber White Wilson Wright Young
""")

_BRANDS = _spelled("""
    星 xing 河 he 海 hai 天 tian 龙 long 云 yun 金 jin 鼎 ding 恒 heng 瑞 rui 华 hua 信 xin 诚 cheng 远 yuan
    宏 hong 达 da 博 bo 创 chuang 盛 sheng 泰 tai 德 de 润 run 康 kang 安 an 明 ming 新 xin 光 guang 东 dong
    方 fang 百 bai 联 lian 启 qi 智 zhi 思 si 卓 zhuo 越 yue 优 you 合 he 众 zhong 力 li 美 mei 嘉 jia 福 fu
    顺 shun 兴 xing 腾 teng 飞 fei 凯 kai 亿 yi 佳 jia 汇 hui 通 tong 元 yuan 和 he 正 zheng 中 zhong 友 you
    同 tong 永 yong 春 chun 秋 qiu 山 shan 江 jiang
""")
_WORDS = _words("""
    Amber Apex Atlas Aurora Beacon Birch Blue Bright Cedar Clear Coral Crest Delta Eagle Ember Falcon Fern Forge
    Granite Harbor Haven Hazel Iron Juniper Keystone Lake Lark Laurel Linden Maple Meadow Mercury Mill North Oak
    Ocean Onyx Orbit Peak Pine Pioneer Prairie Quartz Raven Ridge River Rowan Sage Silver Slate Spruce Stone
    Summit Swift Timber Vale Vertex Violet West Willow Winter Zenith
""")
_SECOND = _words("""
    bridge brook craft dale field ford gate hill mark path point port side stead ton view way well wood works
""")

INDUSTRIES = (
    ("科技", "Technology"),
    ("软件", "Software"),
    ("电子", "Electronics"),
    ("机械", "Manufacturing"),
    ("汽车零部件", "Automotive"),
    ("医疗器械", "Healthcare"),
    ("生物医药", "Pharmaceuticals"),
    ("食品", "Food"),
    ("物流", "Logistics"),
    ("贸易", "Wholesale"),
    ("商贸", "Retail"),
    ("建筑工程", "Construction"),
    ("新能源", "Energy"),
    ("环保", "Environment"),
    ("教育", "Education"),
    ("传媒", "Media"),
    ("酒店管理", "Hospitality"),
    ("金融服务", "Finance"),
    ("纺织", "Textiles"),
    ("农业", "Agriculture"),
)
_FORMS = ("有限公司", "有限公司", "有限公司", "股份有限公司", "集团有限公司", "有限责任公司")
_WESTERN_FORMS = ("Ltd", "Inc", "GmbH", "LLC", "Group", "Co", "SA", "AB")

_CITIES = _words("""
    上海 上海 上海 北京 北京 深圳 深圳 广州 广州 杭州 杭州 苏州 南京 成都 武汉 西安 重庆 天津 青岛 宁波 厦门
    长沙 郑州 合肥 福州 济南 大连 沈阳 无锡 佛山 东莞 昆明 哈尔滨 乌鲁木齐
""")
_WESTERN_CITIES = (
    ("London", "United Kingdom"),
    ("Manchester", "United Kingdom"),
    ("Berlin", "Germany"),
    ("München", "Germany"),
    ("Paris", "France"),
    ("Amsterdam", "Netherlands"),
    ("Stockholm", "Sweden"),
    ("Zürich", "Switzerland"),
    ("New York", "United States"),
    ("Chicago", "United States"),
    ("San Francisco", "United States"),
    ("Toronto", "Canada"),
    ("Singapore", "Singapore"),
    ("Sydney", "Australia"),
    ("São Paulo", "Brazil"),
    ("Tokyo", "Japan"),
)
TITLES = (
    "总经理",
    "采购经理",
    "技术总监",
    "财务主管",
    "行政经理",
    "信息部主任",
    "运营总监",
    "采购专员",
    "工程师",
    "董事长助理",
)
WESTERN_TITLES = (
    "CEO",
    "CTO",
    "Head of Procurement",
    "Buyer",
    "IT Manager",
    "Finance Manager",
    "Operations",
    "Engineer",
)


@dataclass(frozen=True, slots=True)
class Person:
    """A person's name and what stands before the @ of their address."""

    name: str
    mailbox: str


@dataclass(frozen=True, slots=True)
class Company:
    """A company, or a person that buys; `short` is what people call it, `mailbox` where it is written to."""

    name: str
    short: str
    domain: str
    industry: str | None
    city: str
    country: str
    chinese: bool
    mailbox: str = "info"


def chinese_person(dice: Dice) -> Person:
    """Return a Chinese person."""
    surname, surname_pinyin = dice.pick(_SURNAMES)
    given, given_pinyin = dice.pick(_GIVEN)
    return Person(surname + given, f"{given_pinyin}.{surname_pinyin}")


def western_person(dice: Dice) -> Person:
    """Return a person with a Western name."""
    first, last = dice.pick(_FIRST), dice.pick(_LAST)
    return Person(f"{first} {last}", f"{first}.{last}".lower())


def person(dice: Dice, chinese: bool) -> Person:
    """Return a person."""
    return chinese_person(dice) if chinese else western_person(dice)


def chinese_company(dice: Dice, number: int) -> Company:
    """Return a Chinese company; the number makes its domain unique."""
    (first, first_pinyin), (second, second_pinyin) = dice.pick(_BRANDS), dice.pick(_BRANDS)
    (field, industry), city = dice.pick(INDUSTRIES), dice.pick(_CITIES)
    short = first + second
    name = f"{city}{short}{field}{dice.pick(_FORMS)}"
    return Company(name, short, f"{first_pinyin}{second_pinyin}{number}.example", industry, city, "China", True)


def western_company(dice: Dice, number: int) -> Company:
    """Return a company with a Western name; the number makes its domain unique."""
    word = dice.pick(_WORDS) + dice.pick(_SECOND)
    industry = dice.pick(INDUSTRIES)[1]
    city, country = dice.pick(_WESTERN_CITIES)
    name = f"{word} {industry} {dice.pick(_WESTERN_FORMS)}"
    return Company(name, word, f"{word.lower()}{number}.example", industry, city, country, False)


def private_customer(dice: Dice, number: int) -> Company:
    """Return a Chinese person who buys for themselves."""
    who = chinese_person(dice)
    return Company(who.name, who.name, f"mail{number}.example", None, dice.pick(_CITIES), "China", True, who.mailbox)


def phone(dice: Dice, chinese: bool) -> str:
    """Return a telephone number that nobody has."""
    last = dice.between(1000, 10_000)
    return f"+86 1{dice.between(30, 99)} 0000 {last}" if chinese else f"+1 555 010 {last}"
