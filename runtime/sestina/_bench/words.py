"""The words that benchmark texts are made of, more frequent ones first, as in English."""

from __future__ import annotations

_FUNCTION = """
the of and to in a is that it was for on are as with his they at be this from have or by one had not but
what all were when we there can an your which their said if do will each about how up out them then she many
some so these would other into has more her two like him see time could no make than first been its who now
people my made over did down only way find use may water long little very after words called just where most
know
"""

_CONTENT = """
year world life work part place number case group problem fact company system program question government
night point home room mother area money story month right study book eye job word business issue side kind
head house service friend father power hour game line end member law car city community name president team
minute idea body information back parent face others level office door health person art war history party
result change morning reason research girl guy moment air teacher force education foot boy age policy
process music market sense nation plan college interest death experience effect class control field
development role effort rate heart drug show leader light voice wife police mind price report decision son
view relationship town road arm difference value building action season society tax director position player
record paper space ground form event official matter center couple site project activity star table need
court oil situation cost industry figure street image phone data picture practice piece land product doctor
wall patient worker news test movie north love support technology step baby computer type attention film
tree source organization hair look century evidence window culture chance brother energy period course
summer plant opportunity term letter condition choice rule daughter south husband floor campaign material
population economy hospital church risk fire future bank west sport board subject officer rest behavior
performance top goal second bed order author blood agency nature color store sound movement page race
concern series language response animal factor decade article east artist scene stock career treatment
approach size dog fund sign thought list individual quality pressure answer resource meeting disease success
cup amount ability staff character growth loss degree attack region television box training trade deal
election feeling standard bill message analysis benefit sex lawyer section glass skill sister professor
operation crime stage authority design sort knowledge gun station strategy truth song example environment
leg dark public various rather laugh guess executive set prove hang entire rock forget claim remove manager
enjoy network legal religious cold final main science green memory card above seat cell establish nice trial
expert spring firm radio visit management avoid imagine tonight huge ball finish yourself theory impact
respond statement maintain charge popular traditional onto reveal direction weapon employee cultural contain
peace pain apply play measure wide shake fly interview manage chair fish particular camera structure
politics perform bit weight suddenly discover candidate production treat trip evening affect inside
conference unit style adult worry range mention deep edge specific writer trouble necessary throughout
challenge fear shoulder institution middle sea dream bar beautiful property instead improve stuff
photosynthesis transformer gradient tokenizer archipelago cathedral molecule parliament telescope
vaccination hypothesis biodiversity infrastructure jurisdiction metamorphosis
"""

FUNCTION_WORDS = _FUNCTION.split()
CONTENT_WORDS = _CONTENT.split()
